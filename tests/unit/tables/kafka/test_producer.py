"""The life of a producer that can be replaced; no broker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tables.kafka import idempotence
from tables.kafka import producer as module
from tables.kafka.producer import ReplaceableProducer


class FakeProducer:
    made: list[FakeProducer]

    def __init__(self, **options: Any) -> None:
        self.options, self.stopped = options, False
        self.made.append(self)

    async def start(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeProducer]:
    monkeypatch.setattr(FakeProducer, "made", [], raising=False)
    monkeypatch.setattr(idempotence, "AIOKafkaProducer", FakeProducer)
    return FakeProducer.made


async def test_a_producer_whose_start_is_cancelled_is_stopped(made: list[FakeProducer]) -> None:
    producer = ReplaceableProducer({}, 5)
    starting = asyncio.create_task(producer.get())
    await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await producer.close()
    assert [one.stopped for one in made] == [True]


@pytest.mark.parametrize(("compression", "given"), [("none", None), ("gzip", "gzip"), ("zstd", "zstd")])
async def test_the_compression_is_the_one_that_was_set(
    made: list[FakeProducer], compression: str, given: str | None
) -> None:
    producer = ReplaceableProducer({}, 0.01, compression)
    with pytest.raises(module.BrokerUnavailableError):
        await producer.get()
    assert made[0].options["compression_type"] == given
    await producer.close()
