"""Questions to the counts of this worker: merged over partitions, with a time budget, as of a position."""
