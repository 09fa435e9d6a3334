"""The producer of `wordcount produce` and `run`: sends lines of files to the input topic."""
