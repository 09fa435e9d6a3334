"""Partitions of a worker: assignment, flush, restore, failure, release, reads. Start at `tables.partitions.partitions`."""
