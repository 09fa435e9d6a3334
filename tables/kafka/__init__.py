"""Kafka as the counts need it: the changelog, topic ids and offsets, producers, connections, rights and refusals."""
