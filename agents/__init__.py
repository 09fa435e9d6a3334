"""The flow from Kafka record batches to counted words. Start reading at `agents.topology`, which wires the parts."""
