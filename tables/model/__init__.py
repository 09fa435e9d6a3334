"""Values and their rules, without I/O: record batches, tallies, rows, markers, positions."""
