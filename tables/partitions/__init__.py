"""Partitions of a worker: assignment, flush, restore, and what each answers from. Start at `tables.partitions.partitions`."""
