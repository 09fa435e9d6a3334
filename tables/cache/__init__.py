"""Counts kept in memory, so that a flush need not look up in RocksDB what it counted before."""
