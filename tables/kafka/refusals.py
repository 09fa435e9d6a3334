"""Writes that a broker refuses: what it answered, and of those that are refused for good, why and what helps.

A batch that is refused for good is in no log, so nothing is unknown about it, and sending it again brings the same answer. Rights are
not here.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka.errors import (
    InvalidTimestampError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    PolicyViolationError,
    RecordListTooLargeError,
    UnsupportedForMessageFormatError,
    for_code,
)

from tables.errors import ConfigurationError
from tables.kafka.broker_errors import InvalidRecordError, UnsupportedCompressionError
from tables.model.names import MAX_REQUEST_BYTES

_CLOCK = (
    "set the clocks of this machine and of the brokers, or have the broker set the time: kafka-configs.sh --alter "
    "--entity-type topics --entity-name {topic} --add-config message.timestamp.type=LogAppendTime"
)
_REFUSED = {
    InvalidTimestampError: ("its time stamps are too far from the broker's clock", _CLOCK),
    MessageSizeTooLargeError: (
        "it is too large",
        f"allow max.message.bytes of at least {MAX_REQUEST_BYTES} on it",
    ),
    RecordListTooLargeError: (
        "it is larger than a segment",
        f"allow segment.bytes of at least {MAX_REQUEST_BYTES} on it",
    ),
    UnsupportedCompressionError: (
        "it is compressed in a way that the broker does not take",
        "set WORDCOUNT_COMPRESSION to gzip or none",
    ),
    PolicyViolationError: ("a policy of the broker forbids it", "ask who runs the brokers for the policy"),
    InvalidRecordError: (
        "the broker's validation forbids it",
        "the topic must take records with and without keys and values: no compaction of dead letters, no schema",
    ),
    InvalidTopicError: ("the topic cannot be written by clients", "choose another WORDCOUNT_GROUP"),
    UnsupportedForMessageFormatError: (
        "the topic has an old message format",
        "set its message.format.version to 0.11.0 or newer",
    ),
}

_LACKS_REPLICAS = {NotEnoughReplicasError.errno, NotEnoughReplicasAfterAppendError.errno}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a broker answered to a write, also where the write is tried again.

    Attributes:
        error_code: of Kafka's protocol.
        said: in words; None = it did not.
        at: on the event loop's clock.
    """

    error_code: int
    said: str | None
    at: float

    def __str__(self) -> str:
        return ": ".join(filter(None, (for_code(self.error_code).__name__, self.said)))


def refusal(error: BaseException, topic: str, said: Refusal | None) -> ConfigurationError | None:
    """What to tell the operator where `error` refuses a batch for `topic` for good; None where it may pass, or is not known.

    Args:
        said: the broker's answer, which may have words.
    """
    if (found := _REFUSED.get(type(error))) is None:
        return None
    why, remedy = found
    told = f" ({said.said})" if said is not None and said.said else ""
    return ConfigurationError(
        f"the broker refuses a batch for {topic}: {why}{told}", remedy.format(topic=topic)
    )


def lacks_replicas(refusal: Refusal | None) -> bool:
    """Whether a write waits for brokers that are away: fewer replicas are in sync than the topic's `min.insync.replicas`."""
    return refusal is not None and refusal.error_code in _LACKS_REPLICAS
