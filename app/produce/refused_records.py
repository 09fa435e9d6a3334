"""Records that the brokers refuse for good: what the operator can do so that the input topic takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiokafka.errors import MessageSizeTooLargeError

from app.kafka.clients import rights_of
from tables.errors import ConfigurationError
from tables.kafka.refusals import refusal
from tables.kafka.rights import Right

if TYPE_CHECKING:
    from app.config.settings import Settings

_BROKERS_DEFAULT: Final = 1_048_588
"""Default of `message.max.bytes`: every batch fits, also one with a single value of `MAX_VALUE_BYTES`."""


def refusal_of(error: BaseException, settings: Settings, what: str) -> ConfigurationError | None:
    """Return the error for the operator if the brokers refuse records for good; None if they may take them later.

    Args:
        error: the error with which sending ended.
        settings: name the topic and the user.
        what: what was not sent, for the message.
    """
    topic = settings.topic
    if isinstance(error, MessageSizeTooLargeError):
        return ConfigurationError(
            f'topic "{topic}" takes no batch as large as one that was sent; {what}',
            f"raise max.message.bytes of the topic to {_BROKERS_DEFAULT}, which is the default of brokers",
        )
    if denied := rights_of(settings).denied(error, Right("Write", "topic", topic)):
        return ConfigurationError(f"{what}; {denied.message}", denied.remedy)
    if refused := refusal(error, topic, None):
        return ConfigurationError(f"{what}; {refused.message}", refused.remedy)
    return None
