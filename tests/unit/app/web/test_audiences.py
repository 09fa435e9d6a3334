"""One asking for all clients, the newest answer for a slow one, no answer that goes back, and a bounded number of clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from app.bodies import Word
from app.reads.answers import IncompleteError
from app.web import stream_client as client_module
from app.web.audiences import Audiences, Question
from app.web.problems import TooManyStreamsError
from app.web.stream_client import RETRY_MS, StreamClient
from tables.errors import BadRequestError

DEADLINE_S = 20.0
INTERVAL_S = 0.01


class Answers:
    """A question whose answer a test sets, and how often it was asked."""

    def __init__(self, key: str = "fox", interval_s: float = INTERVAL_S) -> None:
        self.as_of, self.missing = {0: 1}, list[int]()
        self.count = 1
        self.asked = 0
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.question = Question(key, interval_s, self._ask)

    async def _ask(self) -> Word:
        self.asked += 1
        as_of, error = dict(self.as_of), self.error
        await self.may_answer.wait()
        if error is not None:
            raise error
        return Word(
            "fox",
            self.count,
            as_of=as_of,
            complete=not self.missing,
            missing_partitions=list(self.missing),
            served_by={},
            behind={},
        )

    async def ask_again(self, times: int = 3) -> None:
        """Wait until the question was asked `times` more."""
        wanted = self.asked + times
        await until(lambda: self.asked >= wanted)


class Observer:
    def __init__(self) -> None:
        self.clients, self.events = list[int](), list[str]()

    def stream_clients(self, open_now: int) -> None:
        self.clients.append(open_now)

    def stream_event(self, kind: str) -> None:
        self.events.append(kind)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(INTERVAL_S / 4)


async def within(awaited: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await awaited


class Client:
    """A client, who reads its events one by one."""

    def __init__(self, audiences: Audiences, answers: Answers, seen: dict[int, int] | None = None) -> None:
        self.stream: StreamClient = audiences.join(answers.question, seen or {})
        self.leave = lambda: audiences.leave(answers.question, self.stream)
        self._events: AsyncGenerator[Any, None] = self.stream.events()
        self._next: asyncio.Task[Any] | None = None

    def begin(self) -> asyncio.Task[Any]:
        """Begin to read the next event, if that has not begun."""
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._events))
        return self._next

    async def read(self) -> tuple[str | None, str | None]:
        """Return type and id of the next event."""
        event = await self.read_event()
        return event.event, event.id

    async def read_event(self) -> Any:
        event = await within(self.begin())
        self._next = None
        return event

    async def assert_nothing_more(self, answers: Answers) -> None:
        reading = self.begin()
        await answers.ask_again()
        assert not reading.done(), reading.result()


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
def audiences(observer: Observer) -> Audiences:
    return Audiences(observer, lambda: 3)


@pytest.fixture
def answers() -> Answers:
    return Answers()


async def test_a_snapshot_comes_first_and_a_change_when_positions_have_moved(audiences, answers, observer):
    client = Client(audiences, answers)
    event = await client.read_event()
    assert (event.event, event.id) == ("snapshot", "0:1")
    assert json.loads(event.data)["count"] == 1
    await client.assert_nothing_more(answers)
    answers.as_of, answers.count = {0: 3}, 2
    event = await client.read_event()
    assert (event.event, event.id) == ("change", "0:3")
    assert json.loads(event.data)["count"] == 2
    assert (observer.clients, observer.events) == ([1], ["snapshot", "change"])


async def test_clients_of_one_question_share_its_asking(audiences, answers):
    answers.may_answer.clear()
    clients = [Client(audiences, answers) for _ in range(3)]
    await until(lambda: answers.asked == 1)
    answers.may_answer.set()
    assert [await client.read() for client in clients] == [("snapshot", "0:1")] * 3
    assert audiences.questions == 1


async def test_clients_that_have_seen_the_same_are_sent_the_same_event_which_is_encoded_once(
    audiences, answers
):
    clients = [Client(audiences, answers) for _ in range(3)]
    first, second, third = [await client.read_event() for client in clients]
    assert first is second is third
    assert first.encode() is third.encode()
    assert first.encode().startswith(b"id: 0:1\nevent: snapshot\ndata: {")


async def test_a_question_without_clients_is_asked_no_more(audiences, answers):
    clients = [Client(audiences, answers) for _ in range(2)]
    await clients[0].read()
    clients[0].leave()
    await answers.ask_again()
    clients[1].leave()
    asked, other = answers.asked, Answers("other")
    assert audiences.questions == 0
    Client(audiences, other)
    await other.ask_again()
    assert answers.asked == asked


async def test_a_slow_client_gets_the_newest_answer_and_no_queue(audiences, answers):
    client = Client(audiences, answers)
    await client.read()
    for position in range(2, 6):
        answers.as_of = {0: position}
        await answers.ask_again(2)
    assert await client.read() == ("change", "0:5")
    await client.assert_nothing_more(answers)


async def test_two_events_of_a_client_are_an_interval_apart(audiences):
    answers = Answers(interval_s=0.2)
    client = Client(audiences, answers)
    await client.read()
    begun_s = asyncio.get_running_loop().time()
    answers.as_of, answers.count = {0: 2}, 2
    Client(audiences, answers)  # Its snapshot is asked for at once.
    await until(lambda: answers.asked > 1)
    assert await client.read() == ("change", "0:2")
    assert asyncio.get_running_loop().time() - begun_s >= 0.19


async def test_an_answer_that_is_only_fresher_can_wait_and_another_count_does_not(
    audiences, answers, monkeypatch
):
    monkeypatch.setattr(client_module, "FRESHER_S", 60)
    client = Client(audiences, answers)
    await client.read()
    answers.as_of = {0: 2}
    await client.assert_nothing_more(answers)
    answers.as_of, answers.count = {0: 3}, 2
    assert await client.read() == ("change", "0:3")
    answers.as_of, answers.missing = {0: 4}, [1]
    assert await client.read() == ("change", "0:4")


async def test_an_answer_that_is_only_fresher_is_told_a_second_after_the_one_before(audiences, answers):
    client = Client(audiences, answers)
    await client.read()
    begun_s = asyncio.get_running_loop().time()
    answers.as_of = {0: 2}
    assert await client.read() == ("change", "0:2")
    assert asyncio.get_running_loop().time() - begun_s >= 0.9


async def test_a_change_of_this_process_is_told_at_once_after_a_quiet_interval_and_not_before(audiences):
    answers = Answers(interval_s=0.5)
    client = Client(audiences, answers)
    await client.read()
    reading, loop = client.begin(), asyncio.get_running_loop()
    begun_s = loop.time()
    audiences.moved()
    await answers.ask_again(1)  # Finds nothing new, so that the interval since the last change is over.
    assert (loop.time() - begun_s > 0.4, reading.done()) == (True, False)
    answers.as_of, answers.count, asked = {0: 2}, 2, answers.asked
    begun_s = loop.time()
    audiences.moved()
    assert await client.read() == ("change", "0:2")
    assert (loop.time() - begun_s < 0.4, answers.asked) == (True, asked + 1)


async def test_a_client_that_joins_is_told_no_answer_that_was_asked_for_before(audiences):
    answers = Answers(interval_s=60)
    answers.may_answer.clear()
    first = Client(audiences, answers)
    await until(lambda: answers.asked == 1)
    answers.as_of = {0: 2}
    second = Client(audiences, answers)
    answers.may_answer.set()
    assert await first.read() == ("snapshot", "0:1")
    assert await second.read() == ("snapshot", "0:2")


async def test_positions_that_fall_are_never_sent(audiences, answers):
    answers.as_of = {0: 5, 1: 5}
    client = Client(audiences, answers)
    await client.read()
    answers.as_of = {0: 4, 1: 9}
    await client.assert_nothing_more(answers)
    answers.as_of = {0: 6, 1: 7}
    assert await client.read() == ("change", "0:6,1:7")


async def test_a_partition_that_was_left_out_does_not_come_back_older(audiences, answers):
    answers.as_of = {0: 5, 1: 7}
    client = Client(audiences, answers)
    await client.read()
    answers.as_of, answers.missing = {0: 6}, [1]
    assert await client.read() == ("change", "0:6,1:7")
    answers.as_of, answers.missing = {0: 6, 1: 6}, []
    await client.assert_nothing_more(answers)
    answers.as_of = {0: 6, 1: 7}
    assert await client.read() == ("change", "0:6,1:7")


@pytest.mark.parametrize("before", [{0: 9, 1: 4}, {0: 10}], ids=["behind", "partition not known yet"])
async def test_a_client_that_comes_back_waits_for_the_positions_that_it_has_seen(audiences, before):
    answers = Answers(interval_s=60)
    answers.as_of = before
    client = Client(audiences, answers, {0: 10, 1: 4})
    first = asyncio.ensure_future(client.stream.first())
    await answers.ask_again(2)
    assert not first.done()
    answers.as_of = {0: 10, 1: 4}
    assert (await within(first)).as_of == {0: 10, 1: 4}
    assert await client.read() == ("snapshot", "0:10,1:4")


async def test_a_client_whose_positions_are_not_reached_is_told_so_once(audiences, answers, monkeypatch):
    monkeypatch.setattr(client_module, "PATIENCE_S", 0.02)
    client = Client(audiences, answers, {0: 10})
    event = await client.read_event()
    assert (event.event, event.id) == ("unavailable", None)
    problem = json.loads(event.data)
    assert (problem["type"], problem["as_of"]) == ("urn:problem-type:wordcount:not-yet-counted", {"0": 1})
    await client.assert_nothing_more(answers)
    answers.as_of = {0: 11}
    assert await client.read() == ("snapshot", "0:11")


async def test_an_answer_that_does_not_move_is_asked_for_no_more_often_than_by_the_interval(audiences):
    answers = Answers(interval_s=0.2)
    client = Client(audiences, answers)
    await client.read()
    begun, asked = asyncio.get_running_loop().time(), answers.asked
    while asyncio.get_running_loop().time() < begun + 1:
        audiences.moved()
        await asyncio.sleep(0.005)
    assert answers.asked - asked <= 11


async def test_a_position_of_a_partition_that_there_is_not_is_refused(audiences, answers, monkeypatch):
    monkeypatch.setattr(client_module, "PATIENCE_S", 0.02)
    client = Client(audiences, answers, {0: 1, 7: 1})
    refusal = await within(client.stream.first())
    assert isinstance(refusal, BadRequestError)
    assert "partition 7" in str(refusal)


async def test_why_there_is_no_answer_is_told_once_and_the_next_answer_in_any_case(
    audiences, answers, observer
):
    client = Client(audiences, answers)
    await client.read()
    answers.error = IncompleteError({3: "no worker has the partition"})
    event = await client.read_event()
    assert (event.event, event.id) == ("unavailable", None)
    assert json.loads(event.data)["missing_partitions"] == [3]
    await client.assert_nothing_more(answers)
    answers.error = None
    assert await client.read() == ("change", "0:1")
    assert observer.events == ["snapshot", "unavailable", "change"]


async def test_an_unexpected_error_is_told_without_its_text_and_ends_nothing(audiences, answers):
    client = Client(audiences, answers)
    await client.read()
    answers.error = ZeroDivisionError("a secret")
    event = await client.read_event()
    assert json.loads(event.data)["type"].endswith(":unexpected")
    assert "secret" not in event.data
    answers.error = None
    assert await client.read() == ("change", "0:1")


async def test_the_number_of_clients_is_bounded_and_a_place_becomes_free(audiences, answers, observer):
    clients = [Client(audiences, answers) for _ in range(3)]
    with pytest.raises(TooManyStreamsError, match="WORDCOUNT_STREAM_CLIENTS"):
        Client(audiences, Answers("other"))
    assert audiences.questions == 1
    clients[0].leave()
    Client(audiences, answers)
    assert observer.clients == [1, 2, 3, 2, 3]


@pytest.mark.parametrize("reads_before", [0, 1])
async def test_all_streams_end_by_telling_the_client_to_come_back(audiences, reads_before):
    answers = Answers(interval_s=60)
    client = Client(audiences, answers)
    if not reads_before:
        answers.may_answer.clear()
    for _ in range(reads_before):
        await client.read()
    reading = client.begin()
    await asyncio.sleep(0)
    audiences.close()
    event = await client.read_event()
    assert reading.done()
    assert event.encode() == b"retry: %d\n\n" % RETRY_MS
    with pytest.raises(StopAsyncIteration):
        await client.read_event()
    late = Client(audiences, answers)
    assert await within(late.stream.first()) is None
    assert (await late.read_event()).retry == RETRY_MS
    for one in (client, late):
        one.leave()
    assert audiences.questions == 0
