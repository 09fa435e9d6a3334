"""Text processing: value formats, what a word is, and the tally of record batches. No I/O."""
