"""A broker of these tests' own, and workers on it."""

from tests.integration.conftest import broker, kafka, kafka_at, topic_name, workers

__all__ = ["broker", "kafka", "kafka_at", "topic_name", "workers"]
