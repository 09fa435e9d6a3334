"""Idempotent producers: an acknowledged record is in the log once, on all in-sync replicas, as long as its producer lives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from tables.model.names import MAX_REQUEST_BYTES


def idempotent_producer(
    connection: Mapping[str, Any], *, timeout_s: float, compression: str, batch_bytes: int = MAX_REQUEST_BYTES
) -> AIOKafkaProducer:
    """Return a producer with acks=all that is not started, on the running event loop.

    Args:
        connection: keyword arguments of every Kafka client: bootstrap_servers, security.
        timeout_s: longest time, in seconds, that a batch waits to be sent; the time-out of a request is that of `connection`.
        compression: codec of the written batches, one of `tables.kafka.producer.COMPRESSIONS`.
        batch_bytes: size of a full batch, uncompressed.
    """
    producer = AIOKafkaProducer(
        **connection,
        acks="all",
        enable_idempotence=True,
        compression_type=None if compression == "none" else compression,
        max_batch_size=batch_bytes,
        max_request_size=MAX_REQUEST_BYTES,
    )
    producer._request_timeout_ms = int(timeout_s * 1000)
    return producer
