"""RocksDB stores: one per partition, with their files and errors, and the lock of the state folder."""
