"""Lasting refusals of a consumer group to let a worker join, for other reasons than missing rights."""

from __future__ import annotations

from aiokafka.errors import InvalidSessionTimeoutError

from tables.errors import ConfigurationError
from tables.kafka.broker_errors import GroupMaxSizeReachedError


def refused_join(error: BaseException, group: str) -> ConfigurationError | None:
    """Return the error for the operator if `error` says that `group` refuses this worker for good; None for any other error.

    aiokafka raises an error that it does not expect in a join as a KafkaError with the text of that error only.
    """
    if isinstance(error, InvalidSessionTimeoutError):
        return ConfigurationError(
            f"the brokers do not allow this WORDCOUNT_SESSION_TIMEOUT_MS for a member of group {group}",
            "set it between group.min.session.timeout.ms (6 s by default) and group.max.session.timeout.ms (30 min) of the brokers",
        )
    if GroupMaxSizeReachedError.__name__ in repr(error):
        return ConfigurationError(
            f"group {group} has as many members as the brokers allow",
            "start fewer workers, or raise group.max.size of the brokers",
        )
    return None
