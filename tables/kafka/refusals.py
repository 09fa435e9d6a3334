"""Writes that a broker refuses: the broker's answer, and for each lasting refusal its cause and its remedy.

A batch that is refused for good is certainly not in the log, and the broker would refuse it again. Missing rights are another subject,
see `tables.kafka.rights`.
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
from tables.kafka.rights import DENIALS
from tables.model.names import MAX_REQUEST_BYTES

_CLOCK = (
    "set the clocks of this machine and of the brokers, or have the broker set the time: kafka-configs.sh --alter "
    "--entity-type topics --entity-name {topic} --add-config message.timestamp.type=LogAppendTime"
)
_REFUSED = {
    InvalidTimestampError: ("the time stamps of the batch are too far from the broker's clock", _CLOCK),
    MessageSizeTooLargeError: (
        "the batch is too large",
        f"set max.message.bytes of the topic to at least {MAX_REQUEST_BYTES}",
    ),
    RecordListTooLargeError: (
        "the batch is larger than a segment",
        f"set segment.bytes of the topic to at least {MAX_REQUEST_BYTES}",
    ),
    UnsupportedCompressionError: (
        "the broker does not accept the compression of the batch",
        "set WORDCOUNT_COMPRESSION to gzip or none",
    ),
    PolicyViolationError: (
        "a policy of the broker forbids the batch",
        "ask the operators of the brokers for the policy",
    ),
    InvalidRecordError: (
        "the broker's validation forbids a record in the batch",
        "the topic must accept records with and without keys and values: no compaction of dead letters, no schema",
    ),
    InvalidTopicError: ("clients cannot write to the topic", "choose another WORDCOUNT_GROUP"),
    UnsupportedForMessageFormatError: (
        "the topic has an old message format",
        "set message.format.version of the topic to 0.11.0 or newer",
    ),
}

_LACKS_REPLICAS = {NotEnoughReplicasError.errno, NotEnoughReplicasAfterAppendError.errno}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A broker's refusal of a write, which may be retried.

    Attributes:
        error_code: error code of Kafka's protocol, not 0.
        said: the broker's explanation; None = the broker gave none.
        at: time of the refusal, on the event loop's clock.
    """

    error_code: int
    said: str | None
    at: float

    def __str__(self) -> str:
        return ": ".join(filter(None, (for_code(self.error_code).__name__, self.said)))


def refusal(error: BaseException, topic: str, said: Refusal | None) -> ConfigurationError | None:
    """Return the error for the operator if `error` refuses a batch for `topic` for good; None for any other error.

    Args:
        error: the error with which the write ended.
        topic: the topic of the batch.
        said: the broker's latest refusal of a write to the topic; None = there was none.
    """
    if (found := _REFUSED.get(type(error))) is None:
        return None
    why, remedy = found
    told = f" ({said.said})" if said is not None and said.said else ""
    return ConfigurationError(
        f"the broker refuses a batch for {topic}: {why}{told}", remedy.format(topic=topic)
    )


def is_refused(error: BaseException) -> bool:
    """Return whether a batch whose write ended with `error` is certainly not in the log: it was refused for good, or denied."""
    return type(error) in _REFUSED or isinstance(error, DENIALS)


def lacks_replicas(refusal: Refusal | None) -> bool:
    """Return whether a write waits for absent brokers: fewer replicas are in sync than the topic's `min.insync.replicas`."""
    return refusal is not None and refusal.error_code in _LACKS_REPLICAS
