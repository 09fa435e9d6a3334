"""Bounds: when a buffer is flushed, its size, the number of flushes at a time, the memory of each part, the pause before a retry."""
