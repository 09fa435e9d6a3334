"""Detection of two live processes that use the same static member id.

Each of two such processes takes the membership from the other, for ever, and both look healthy. aiokafka sends the static member id
only when it joins: the broker may answer FENCED_INSTANCE_ID, an error that aiokafka does not know. Later a process that was replaced
gets UNKNOWN_MEMBER_ID, and a process that was too slow gets UNKNOWN_MEMBER_ID, too. The two differ: a slow process had no accepted
heartbeat for a whole session timeout, and seldom loses its membership more than once.
"""

from __future__ import annotations

from collections import deque

from aiokafka import errors

LOSSES = 3
"""Losses of the membership that prove that another live process uses the id."""
LOSS_SPAN_SESSIONS = 6
"""Session timeouts within which the losses happen.

A process notices a loss at its next heartbeat at the latest, so each of two processes loses the membership about once in two
heartbeats.
"""


class FencedInstanceIdError(errors.BrokerResponseError):
    """Another process joined the group under this static member id: the broker says so, or `TakeoverDetector` found out."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another process joined the group under the same static member id."


def install() -> None:
    """Add `FencedInstanceIdError` to the errors that aiokafka knows. May be called again."""
    errors.kafka_errors[FencedInstanceIdError.errno] = FencedInstanceIdError


def is_fenced(error: BaseException) -> bool:
    """Return whether `error` is or contains a `FencedInstanceIdError`.

    aiokafka raises an error that it does not expect in a join as a KafkaError with the text of that error only.
    """
    return FencedInstanceIdError.__name__ in repr(error)


class TakeoverDetector:
    """Finds out from losses of the membership whether another process uses the id. Pure: the caller passes the time.

    Args:
        session_timeout_s: session timeout of the consumer group, in seconds.
    """

    def __init__(self, session_timeout_s: float) -> None:
        self._session_timeout_s = session_timeout_s
        self._lost_s: deque[float] = deque(maxlen=LOSSES)

    def note_loss(self, now_s: float, last_contact_s: float) -> None:
        """Note at `now_s` that the group no longer knows this member, whose last contact was at `last_contact_s`.

        A loss after a whole session timeout without contact does not count: this process was too slow.
        """
        if now_s - last_contact_s < self._session_timeout_s:
            self._lost_s.append(now_s)

    def is_taken(self) -> bool:
        """Return whether another live process uses the id: `LOSSES` losses within `LOSS_SPAN_SESSIONS` session timeouts."""
        return (
            len(self._lost_s) == LOSSES
            and self._lost_s[-1] - self._lost_s[0] < LOSS_SPAN_SESSIONS * self._session_timeout_s
        )
