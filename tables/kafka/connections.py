"""Connections to brokers: overrides of aiokafka's connection, in force for every Kafka client of this process.

* A TLS connection is closed immediately, without the peer's close_notify. While an answer is under way, as that of a fetch always is,
  uvloop would wait 30 s for close_notify (MagicStack/uvloop#471), and asyncio would wait for the answer, half a second. Nothing is
  lost: every request that matters has been answered before a client is stopped, and each request and each answer states its length.
* A password that may change is read again for each connection. Certificates are read again, too, by a context of
  `app.config.kafka_auth`.
* The latest refusal of each broker is remembered, so that logs and messages can name the cause. A refused login is not tried again
  immediately, because many attempts may lock the account.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar

from aiokafka import conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import SaslHandShakeRequest

LOGIN_PAUSE_S = (1.0, 30.0)
"""Shortest and longest pause, in seconds, between two attempts of a refused login at one broker; doubled after each attempt."""

_LOGIN_ERRORS = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)


class Password(str):
    """A password that can change while the process runs."""

    __slots__ = ("renewed",)

    renewed: Callable[[], str]
    """Returns the present password."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed login or TLS handshake: a broker refused this process, or did not prove its identity.

    Attributes:
        host, port: address of the broker.
        error: error of aiokafka or `ssl`.
        offered: SASL mechanisms of the broker; empty = the broker did not list them.
        credentials: user and password of the attempt; None = the TLS handshake failed before the login.
        times: attempts in a row with these credentials.
        at_s: time of the latest attempt, on the monotonic clock.
    """

    host: str
    port: int
    error: BaseException
    offered: Sequence[str]
    credentials: tuple[str | None, str | None] | None
    times: int
    at_s: float

    @property
    def pause_s(self) -> float:
        """Seconds from this attempt to the next; 0 if there was no login."""
        return (
            0.0
            if self.credentials is None
            else min(LOGIN_PAUSE_S[0] * 2.0 ** (self.times - 1), LOGIN_PAUSE_S[1])
        )


class Connection(conn.AIOKafkaConnection):
    """One connection to one broker."""

    refusals: ClassVar[dict[tuple[str, int], Refusal]] = {}
    """The latest refusal of each broker, by host and port; removed when a connection succeeds."""

    on_refusal: ClassVar[Callable[[Refusal], None] | None] = None
    """Called with each refusal, in the thread of the connection; None = nothing is called."""

    _sasl_plain_password: str | None
    _offered: Sequence[str] = ()

    async def connect(self) -> Any:
        """Connect as aiokafka does, with the present password.

        If the broker refused a login with the same credentials less than `Refusal.pause_s` ago, raise the error of that attempt.
        """
        if isinstance(self._sasl_plain_password, Password):
            self._sasl_plain_password = self._sasl_plain_password.renewed()
        place, credentials = (self.host, self.port), (self._sasl_plain_username, self._sasl_plain_password)
        former = self.refusals.get(place)
        same = former is not None and former.credentials == credentials
        if former is not None and same and monotonic() < former.at_s + former.pause_s:
            raise type(former.error)(*former.error.args)
        try:
            connected = await super().connect()
        except (*_LOGIN_ERRORS, ssl.SSLError, KafkaConnectionError) as error:
            refused = error.__cause__ if isinstance(error, KafkaConnectionError) else error
            if isinstance(refused, (*_LOGIN_ERRORS, ssl.SSLError)):
                tried = credentials if isinstance(refused, _LOGIN_ERRORS) else None
                times = former.times + 1 if former is not None and same else 1
                self._refused(Refusal(*place, refused, self._offered, tried, times, monotonic()))
            raise
        self.refusals.pop(place, None)
        return connected

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Send as aiokafka does, and remember which SASL mechanisms the broker offers: aiokafka's error does not name them."""
        answer = super().send(request, expect_response)
        return self._with_offer_noted(answer) if isinstance(request, SaslHandShakeRequest) else answer

    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any:
        """Close as aiokafka does, but do not wait for the peer's close_notify of a TLS connection."""
        writer = self._writer
        closed = super().close(reason, exc)
        if writer is not None and self._ssl_context is not None:
            writer.transport.abort()
        return closed

    async def _with_offer_noted(self, answer: Any) -> Any:
        found = await answer
        self._offered = found.enabled_mechanisms
        return found

    def _refused(self, refusal: Refusal) -> None:
        self.refusals[refusal.host, refusal.port] = refusal
        if Connection.on_refusal is not None:
            Connection.on_refusal(refusal)


def install() -> None:
    """Make aiokafka open `Connection` objects in the whole process. May be called again."""
    conn.AIOKafkaConnection = Connection


def watch(on_refusal: Callable[[Refusal], None]) -> None:
    """Call `on_refusal` for each refusal from now on, in the thread of the refused connection."""
    Connection.on_refusal = staticmethod(on_refusal)


def refusals() -> Sequence[Refusal]:
    """Return the refusals of all brokers whose latest login or TLS handshake failed. May be called in any thread."""
    return list(Connection.refusals.values())
