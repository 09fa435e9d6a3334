"""Top words: the leaders of each partition, kept up to date by its flushes, and their merge over partitions. No I/O."""
