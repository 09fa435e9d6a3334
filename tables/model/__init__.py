"""Values: record batches, tallies, rows, markers, positions, and the rules that hold between them. No I/O."""
