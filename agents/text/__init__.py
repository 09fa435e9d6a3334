"""From bytes to words: value formats, what a word is, and the tally of a batch. No I/O."""
