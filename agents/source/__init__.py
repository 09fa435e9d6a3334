"""Reading of the input topic: Faust's consumer with our overrides, membership of the consumer group, commits, dead letters."""
