"""Kafka as commands and the start of a worker use it: topics, administrative requests, refused logins, rights."""
