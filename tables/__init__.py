"""State: counts per partition in RocksDB, their changelog, flush, restore and reads. Start at `tables.partitions.partitions`."""
