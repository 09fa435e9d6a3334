"""Kafka as the core uses it: the changelog, topic ids and offsets, producers, connections, rights and refusals."""
