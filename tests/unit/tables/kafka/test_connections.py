"""A refused login is not tried again at once, because many attempts lock an account."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

from tables.kafka import connections
from tables.kafka.connections import Connection, Password, Refusal


class Broker:
    """Lets nobody in who has not the right password."""

    password = "right"
    tries = 0

    async def connect(self, connection: Any) -> str:
        self.tries += 1
        if connection._sasl_plain_password != self.password:
            raise SaslAuthenticationFailed("no")
        return "connected"


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(Connection.__base__, "connect", lambda connection: made.connect(connection))  # noqa: PLW0108 - bound
    monkeypatch.setattr(Connection, "refusals", {})
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(connections, "monotonic", lambda: now[0])
    return now


async def connect(password: str) -> Any:
    return await Connection(
        "kafka",
        9092,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="me",
        sasl_plain_password=password,
    ).connect()


async def test_pauses_between_refused_logins_grow(broker: Broker, clock: list[float]) -> None:
    tried_s = []
    for _ in range(1300):
        before = broker.tries
        with pytest.raises(SaslAuthenticationFailed, match="no"):
            await connect("wrong")
        if broker.tries > before:
            tried_s.append(clock[0])
        clock[0] += 0.1
    pauses_s = [round(later - earlier) for earlier, later in itertools.pairwise(tried_s)]
    assert pauses_s == [1, 2, 4, 8, 16, 30, 30, 30]


async def test_another_password_is_tried_at_once_and_a_success_is_the_end(
    broker: Broker, clock: list[float]
) -> None:
    password = Password("wrong")
    present = ["wrong"]
    password.renewed = lambda: present[0]
    for _ in range(3):
        with pytest.raises(SaslAuthenticationFailed):
            await connect(password)
    assert broker.tries == 1
    assert len(connections.refusals()) == 1
    present[0] = "right"
    assert await connect(password) == "connected"
    assert connections.refusals() == []


async def test_who_watches_is_told_of_refusals_and_of_nothing_else(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Refusal] = []
    monkeypatch.setattr(Connection, "on_refusal", None)
    connections.watch(told.append)
    with pytest.raises(SaslAuthenticationFailed):
        await connect("wrong")

    async def away(_: object) -> None:
        raise KafkaConnectionError("closed")

    monkeypatch.setattr(Connection.__base__, "connect", away)
    with pytest.raises(KafkaConnectionError):
        await connect("right")
    assert [(refusal.host, refusal.port, type(refusal.error)) for refusal in told] == [
        ("kafka", 9092, SaslAuthenticationFailed)
    ]
