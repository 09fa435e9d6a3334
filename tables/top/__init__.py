"""The most frequent words: kept per partition through its flushes, and merged over partitions. No I/O."""
