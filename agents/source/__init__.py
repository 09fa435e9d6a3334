"""The input topic: Faust's consumer with our overrides, membership of the group, commits, and dead letters."""
