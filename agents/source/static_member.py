"""Two live processes with one static member id: each takes the membership from the other, for ever, and both look healthy.

aiokafka names its instance id only when it joins: there the broker says "fenced", an error that aiokafka does not know. Later a
process that was replaced hears "unknown member", as one that was too slow does. But a slow one has not been heard of for a session
timeout, and seldom more than once.
"""

from __future__ import annotations

from collections import deque

from aiokafka import errors

LOSSES = 3
LOSS_SPAN_SESSIONS = 6
"""A loss is noticed at the next heartbeat at the latest, and each of the two loses at every second one."""


class FencedInstanceIdError(errors.BrokerResponseError):
    """Another process joined under this static member id. Also what `TakeoverDetector` finds out."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another process joined the group under the same static member id."


def install() -> None:
    """Teach aiokafka the error. May be called again."""
    errors.kafka_errors[FencedInstanceIdError.errno] = FencedInstanceIdError


def is_fenced(error: BaseException) -> bool:
    """Whether `error` comes of it: aiokafka raises errors of a join that it did not expect as a KafkaError with their text."""
    return FencedInstanceIdError.__name__ in repr(error)


class TakeoverDetector:
    """Counts losses of the membership. Pure; the caller brings the time.

    Args:
        session_timeout_s: of the consumer group.
    """

    def __init__(self, session_timeout_s: float) -> None:
        self._session_timeout_s = session_timeout_s
        self._lost_s: deque[float] = deque(maxlen=LOSSES)

    def note_loss(self, now_s: float, last_contact_s: float) -> None:
        """The group does not know this member any more, which it accepted at `last_contact_s`."""
        if now_s - last_contact_s < self._session_timeout_s:
            self._lost_s.append(now_s)

    def is_taken(self) -> bool:
        """Whether another live process uses the id: lost `LOSSES` times within `LOSS_SPAN_SESSIONS`, and never too slow."""
        return (
            len(self._lost_s) == LOSSES
            and self._lost_s[-1] - self._lost_s[0] < LOSS_SPAN_SESSIONS * self._session_timeout_s
        )
