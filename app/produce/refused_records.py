"""Records that the brokers refuse for good: what the operator can do so that the input topic takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.errors import MessageSizeTooLargeError

from app.kafka.clients import rights_of
from app.produce.delivery import BATCH_BYTES
from tables.errors import ConfigurationError
from tables.kafka.refusals import refusal
from tables.kafka.rights import Right

if TYPE_CHECKING:
    from app.config.settings import Settings


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
            f'topic "{topic}" takes no batch of {BATCH_BYTES:,} bytes; {what}',
            f"raise max.message.bytes of the topic to {BATCH_BYTES + 1024} or more",
        )
    if denied := rights_of(settings).denied(error, Right("Write", "topic", topic)):
        return ConfigurationError(f"{what}; {denied.message}", denied.remedy)
    if refused := refusal(error, topic, None):
        return ConfigurationError(f"{what}; {refused.message}", refused.remedy)
    return None
