"""Cache of counts in memory, so that a flush need not read the old counts of its words from RocksDB."""
