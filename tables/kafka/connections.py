"""Connections of aiokafka, as every client of this process has them: consumers, producers and those that ask.

* Over TLS a connection is closed at once, without the peer's close_notify. uvloop waits 30 s for that where an answer is still under
  way (MagicStack/uvloop#471), as that of a fetch always is; asyncio waits until it has come, half a second. Nothing is lost: whatever
  was sent and matters has been answered before a client is stopped, and each request and answer says how long it is.
* A password that changes is read again for each connection. So are certificates, by a context of `app.config.kafka_auth`.
* Whom a broker does not let in is remembered, so that somebody can say why, and a refused login is not tried again at once: many tries
  lock accounts.
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
"""Least and longest time between two tries of a login that was refused, at one broker; doubled each time."""

_LOGIN_ERRORS = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)


class Password(str):
    """A password that can change while the process runs."""

    __slots__ = ("renewed",)

    renewed: Callable[[], str]
    """Gives the present one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A broker did not let this process in, or has not shown who it is.

    Attributes:
        host, port: of the broker.
        error: of aiokafka or `ssl`.
        offered: SASL mechanisms of the broker, where it told them.
        credentials: user and password of the try; None where it did not come to that.
        times: tries with these in a row.
        at_s: when, on the monotonic clock.
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
        """Time until the next try."""
        return (
            0.0
            if self.credentials is None
            else min(LOGIN_PAUSE_S[0] * 2.0 ** (self.times - 1), LOGIN_PAUSE_S[1])
        )


class Connection(conn.AIOKafkaConnection):
    """One connection to one broker."""

    refusals: ClassVar[dict[tuple[str, int], Refusal]] = {}
    """The latest of each broker; one that lets this process in is left out."""

    on_refusal: ClassVar[Callable[[Refusal], None] | None] = None

    _sasl_plain_password: str | None
    _offered: Sequence[str] = ()

    async def connect(self) -> Any:
        """See aiokafka. Raises the error of the former try, where that was a login that would be refused again."""
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
        """See aiokafka; it does not tell which mechanisms a broker offers that does not offer ours."""
        answer = super().send(request, expect_response)
        return self._noted(answer) if isinstance(request, SaslHandShakeRequest) else answer

    def close(self, reason: Any = None, exc: BaseException | None = None) -> Any:
        """See aiokafka."""
        writer = self._writer
        closed = super().close(reason, exc)
        if writer is not None and self._ssl_context is not None:
            writer.transport.abort()
        return closed

    async def _noted(self, answer: Any) -> Any:
        found = await answer
        self._offered = found.enabled_mechanisms
        return found

    def _refused(self, refusal: Refusal) -> None:
        self.refusals[refusal.host, refusal.port] = refusal
        if Connection.on_refusal is not None:
            Connection.on_refusal(refusal)


def install() -> None:
    """Have aiokafka open `Connection`s, in the whole process. Does nothing the second time."""
    conn.AIOKafkaConnection = Connection


def watch(on_refusal: Callable[[Refusal], None]) -> None:
    """Call `on_refusal` for each refusal from now on, in the thread that meets it."""
    Connection.on_refusal = staticmethod(on_refusal)


def refusals() -> Sequence[Refusal]:
    """Of all brokers that did not let this process in when they were asked last. Any thread may ask."""
    return list(Connection.refusals.values())
