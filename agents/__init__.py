"""Flow: from Kafka record batches to counted words. Start at `agents.topology`."""
