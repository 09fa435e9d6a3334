"""Bounds: when a buffer is flushed, how large it gets, how many flushes run, how much memory each part has, how long a retry waits."""
