"""Waiting until records are counted."""

from __future__ import annotations

import asyncio

import pytest

from app.reads.answers import NotCountedYetError, Terms
from app.reads.questions import (
    PositionsAsked,
)
from tables.errors import (
    BadRequestError,
)
from tests.fakes.group import two_workers


async def test_records_that_have_to_be_covered_are_waited_for() -> None:
    group = two_workers()
    x = group.others["x"]
    queries = group.queries(3)
    assert (await queries.get("a", Terms(after={0: 9, 1: 19}))).value == 3
    with pytest.raises(NotCountedYetError, match="offset 20 of partition 1") as raised:
        await queries.get("a", Terms(after={1: 20}))
    assert raised.value.as_of == {1: 20}
    asking = asyncio.create_task(queries.get("a", Terms(after={1: 20}, wait_s=5)))
    await asyncio.sleep(0.05)
    x.parts[1] = (21, {b"a": 7})
    assert (await asking).value == 8
    assert any(isinstance(question, PositionsAsked) for question in x.asked)
    with pytest.raises(BadRequestError, match="no partition 3"):
        await queries.get("a", Terms(after={3: 0}))


async def test_clients_that_wait_share_their_looks() -> None:
    group = two_workers()
    x, queries = group.others["x"], group.queries(3)
    asking = [
        asyncio.create_task(queries.get("a", Terms(after={1: 20 + n % 2}, wait_s=5))) for n in range(50)
    ]
    await asyncio.sleep(0.3)
    looks = sum(isinstance(question, PositionsAsked) for question in x.asked)
    assert looks < 50, "fewer than one for each client"
    x.parts[1] = (22, {b"a": 7})
    assert {(await one).value for one in asking} == {8}
