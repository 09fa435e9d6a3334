"""Benchmarks on the embedded broker: `make bench`."""
