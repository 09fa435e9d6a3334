"""Error codes of brokers: codes that Wordcount looks for in answers, and error classes for codes that aiokafka does not know.

aiokafka reports an error code without a class as an "unknown error".
"""

from __future__ import annotations

from typing import Final

from aiokafka import errors
from aiokafka.errors import (
    BrokerResponseError,
    GroupCoordinatorNotAvailableError,
    GroupIdNotFound,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

NO_ERROR: Final = 0
UNKNOWN_TOPIC: Final = UnknownTopicOrPartitionError.errno
NO_COORDINATOR: Final = GroupCoordinatorNotAvailableError.errno
TOPIC_UNAUTHORIZED: Final = TopicAuthorizationFailedError.errno
NO_GROUP: Final = GroupIdNotFound.errno


class UnsupportedCompressionError(BrokerResponseError):
    """The broker does not accept batches with this compression."""

    errno = 76
    message = "UNSUPPORTED_COMPRESSION_TYPE"
    description = "The broker does not accept batches with this compression."


class GroupMaxSizeReachedError(BrokerResponseError):
    """The consumer group accepts no further member."""

    errno = 81
    message = "GROUP_MAX_SIZE_REACHED"
    description = "The consumer group has as many members as the broker allows."


class InvalidRecordError(BrokerResponseError):
    """The broker's validation refused a record."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker's validation refused a record."


def install() -> None:
    """Add the classes of this module to the errors that aiokafka knows. May be called again."""
    for error in (UnsupportedCompressionError, GroupMaxSizeReachedError, InvalidRecordError):
        errors.kafka_errors[error.errno] = error
