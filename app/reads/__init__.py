"""Reads of this worker's counts: answers are merged over partitions, take a bounded time, and name the position they hold at."""
