"""Lines of files, sent to the input topic."""
