"""Bounds: when a buffer is flushed, its size, how many at a time, pauses between flushes and before retries, memory of each part."""
