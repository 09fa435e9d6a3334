"""Kafka: topics and requests of the commands, sending of lines, and a broker as a child process for the demo and the tests."""
