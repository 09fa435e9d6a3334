"""Kafka's record batches as Arrow arrays: decompressed in bounded memory, checked, cut to the size that a poll may take."""
