"""RocksDB: one store per partition, its files, its errors, and the lock of the folder that holds them all."""
