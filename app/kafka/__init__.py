"""Kafka for commands and for the start of a worker: topics, requests, logins that are refused, rights."""
