"""Kafka's record batches as Arrow arrays: decompressed in bounded memory, checked, cut to what a poll may take."""
