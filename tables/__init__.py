"""State: per-partition counts in RocksDB, their changelog, restore and reads. Start at `tables.partitions.partitions`."""
