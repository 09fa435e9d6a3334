"""The duty: one worker sends, to a receiver that fails, and what the records say is not sent again."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from agents.source.group_map import GroupMap, Member
from app.config.watches import Watch
from app.watches import courier, duty, webhooks
from app.watches.crossing import Crossing
from app.watches.duty import WatchDuty
from app.watches.ledger import Ledger
from app.watches.standing import Standing
from app.watches.webhooks import DeliveryError, Webhooks
from app.worker.metrics import Metrics
from tables.errors import FlushUnknownError, NotReadyError, PartitionsLostError
from tests.fakes.queries import FakeQueries
from tests.fakes.receiver import Receiver, key_of_secret
from tests.fakes.watches import watch, watches

DEADLINE_S = 10.0
HERE, THERE = Member("http://10.0.0.1:8080", [1]), Member("http://10.0.0.2:8080", [0])


class Log:
    """The topic of watches, which a test can break."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.broken = False

    async def read(self) -> Mapping[bytes, bytes]:
        return dict(self.records)

    async def append(self, records: Mapping[bytes, bytes | None]) -> None:
        if self.broken:
            raise FlushUnknownError("not acknowledged")
        for key, value in records.items():
            self.records.pop(key, None)
            if value is not None:
                self.records[key] = value

    async def close(self) -> None:
        pass


class Group:
    """Makes duties of workers that share a topic."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.queries = FakeQueries(counts={"alarm": 5})
        self.log, self.metrics = Log(), Metrics()
        self.map: GroupMap | None = GroupMap("texts", 1, [HERE], 0)
        self.is_live = True
        self.made: list[WatchDuty] = []

    def start(self, *, also: Watch | None = None, **changed: object) -> WatchDuty:
        def check_lease() -> None:
            if not self.is_live:
                raise PartitionsLostError("no member")

        async def ask(url: str) -> Any:
            assert url == THERE.url
            return watches({0: 1})

        total = watch(**{"window": None, "url": self.receiver.url, **changed})
        made = WatchDuty(
            [(one, key_of_secret) for one in (total, also) if one is not None],
            source="/wordcount/group/texts",
            queries=self.queries,
            log=self.log,
            webhooks=Webhooks("1.2.3"),
            group_map=lambda: self.map,
            check_lease=check_lease,
            ask=ask,
            observer=self.metrics.watches,
        )
        self.made.append(made)
        made.start()
        return made

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"wordcount_watch_{name}", labels)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duty, "EVERY_S", 0.05)
    monkeypatch.setattr(courier, "_LOOK_S", 0.05)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(failing=0.0, seed=1) as made:
        yield made


@pytest.fixture
async def group(receiver: Receiver) -> AsyncIterator[Group]:
    made = Group(receiver)
    yield made
    for one in made.made:
        await one.close()


async def test_a_crossing_is_sent_once_and_not_again_after_a_restart(group, receiver):
    first = group.start()
    await until(lambda: b"delivered" in b"".join(group.log.records.values()))
    await first.close()
    second = group.start()
    await until(lambda: second._ledger and second.here().watches[0].evaluated)
    assert [len(events) for events in receiver.accepted.values()] == [1]
    state = await second.state()
    assert (state.owner, state.here, state.problem, state.as_of) == (HERE.url, True, None, {2: 123, 10: 7})
    assert [(one.word, one.state) for one in state.crossings] == [("alarm", "delivered")]


async def test_a_worker_that_ends_before_it_has_recorded_what_it_sent_sends_it_again_with_the_same_id(
    group, receiver
):
    first = group.start()
    group.log.broken = True
    await until(lambda: receiver.accepted)
    await first.close()
    assert b"delivered" not in b"".join(group.log.records.values())
    group.log.broken = False
    group.start()
    await until(lambda: [len(events) for events in receiver.accepted.values()] == [2])


async def test_a_receiver_that_fails_is_tried_again_and_what_it_did_not_answer_comes_twice(group, receiver):
    receiver._failing = 0.7
    one = group.start()
    await until(lambda: one._ledger and one.here().watches[0].delivered)
    (state,) = one.here().watches
    assert group.metric("deliveries_total", outcome="failed") == state.failures == receiver.failed
    assert len(receiver.accepted) == 1
    assert receiver.redirected == 0


async def test_a_worker_without_the_duty_neither_looks_nor_sends_and_tells_what_the_other_one_says(
    group, receiver
):
    group.map = GroupMap("texts", 1, [HERE, THERE], 0)
    one = group.start()
    await asyncio.sleep(0.2)
    assert (receiver.accepted, group.queries.asked) == ({}, [])
    assert (await one.state()).as_of == {0: 1}
    with pytest.raises(NotReadyError, match="does not send"):
        one.here()


async def test_a_worker_that_loses_the_duty_stops_and_one_that_gets_it_begins_by_the_records(group, receiver):
    receiver._failing = 1.0
    one = group.start()
    await until(lambda: receiver.failed > 1)
    group.map = GroupMap("texts", 2, [HERE, THERE], 0)
    await until(lambda: group.metric("owner") == 0)
    failed = receiver.failed
    receiver._failing = 0.0
    await asyncio.sleep(0.5)
    assert receiver.failed == failed
    group.map = GroupMap("texts", 3, [HERE], 0)
    await until(lambda: one._ledger and one.here().watches[0].delivered)


async def test_a_worker_that_the_group_may_take_for_dead_does_not_send(group, receiver):
    group.is_live = False
    one = group.start()
    await asyncio.sleep(0.2)
    assert receiver.accepted == {}
    with pytest.raises(NotReadyError):
        await one.state()
    group.is_live = True
    await until(lambda: receiver.accepted)


async def test_what_cannot_be_asked_is_a_problem_that_passes(group, receiver):
    group.queries.error = NotReadyError("not yet")
    one = group.start()
    await until(lambda: one._ledger is not None and one.here().problem == "not yet")
    group.queries.error = None
    await until(lambda: receiver.accepted)
    await until(lambda: one.here().problem is None)


async def test_a_crossing_is_given_up_after_a_day(group, receiver, monkeypatch):
    monkeypatch.setattr(courier, "GIVE_UP_S", -1)
    receiver._failing = 1.0
    one = group.start()
    await until(lambda: group.metric("deliveries_total", outcome="given_up") == 1)
    await until(lambda: b"given_up" in b"".join(group.log.records.values()))
    (state,) = one.here().watches
    assert (state.waiting, state.given_up) == (0, 1)


async def test_a_receiver_that_does_not_answer_holds_nothing_for_long(group, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.1)
    receiver.hangs = True
    one = group.start()
    await until(
        lambda: one._ledger and (told := one.here().watches[0].last_failure) and "0.1 s" in told.reason
    )
    receiver.hangs = False
    await until(lambda: receiver.accepted)


async def test_a_watch_is_not_looked_at_while_too_many_of_its_crossings_wait(group, receiver, monkeypatch):
    monkeypatch.setattr(duty, "MOST_WAITING", 1)
    receiver._failing = 1.0
    one = group.start()
    await until(lambda: one._ledger and one.here().watches[0].waiting)
    group.queries.as_of = {2: 200, 10: 7}
    await asyncio.sleep(0.2)
    assert one.here().as_of == {2: 123, 10: 7}
    receiver._failing = 0.0
    await until(lambda: one.here().as_of == {2: 200, 10: 7})


async def test_a_watch_that_is_held_back_holds_no_other_back_and_asks_no_more_often(
    group, receiver, monkeypatch
):
    monkeypatch.setattr(duty, "MOST_WAITING", 1)
    monkeypatch.setattr(duty, "EVERY_S", 0.1)
    receiver._failing = 1.0
    one = group.start(also=watch("others", window=None, url=receiver.url, text="calm"))
    await until(lambda: one._ledger and one.here().watches[0].waiting)
    news = one.here().news
    group.queries.as_of = {2: 200, 10: 7}
    await until(lambda: one.here().as_of == {2: 200, 10: 7})
    assert one.here().news != news
    asked = group.queries.windows.overviews
    for _ in range(50):
        one.moved()
        await asyncio.sleep(0.01)
    assert group.queries.windows.overviews - asked <= 8


async def test_what_became_of_a_crossing_is_news_at_the_same_positions(group, receiver):
    receiver._failing = 1.0
    one = group.start()
    await until(lambda: one._ledger and one.here().watches[0].waiting and receiver.failed)
    waiting = one.here()
    receiver._failing = 0.0
    await until(lambda: one.here().crossings[0].state == "delivered")
    assert one.here().as_of == waiting.as_of
    assert one.here().news != waiting.news


async def test_crossings_on_which_the_receiver_hangs_hold_no_other_back(monkeypatch):
    """A time-out of 10 s and pauses of 30 to 60 s, a hundred times as fast."""
    monkeypatch.setattr(courier, "backoff_s", lambda attempts, chance, most_s: 0.6 * (0.5 + chance / 2))
    tried: Counter[str] = Counter()

    class Hanging:
        async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
            word = json.loads(body)["data"]["word"]
            tried[word] += 1
            if word != "healthy":
                await asyncio.sleep(0.1)
                raise DeliveryError("no answer within 10 s")

    ledger = Ledger([watch(window=None)])
    (page,) = ledger.pages.values()
    now_s = int(time.time())
    ledger.found(page, [Crossing(f"hangs-{n}", 9, None, {0: 1}, now_s) for n in range(12)], 1000)
    one = courier.Courier(
        page,
        ledger,
        Standing(),
        secret=lambda: b"k" * 32,
        source="/x",
        webhooks=Hanging(),
        may_send=lambda: True,
        observer=Metrics().watches,
    )
    running = asyncio.create_task(one.run())
    await until(lambda: len(tried) >= 6)
    ledger.found(page, [Crossing("healthy", 9, None, {0: 1}, now_s)], 1000)
    one.wake()
    await until(lambda: tried["healthy"])
    assert sum(tried.values()) <= 16
    await until(lambda: all(tried[f"hangs-{n}"] >= 2 for n in range(12)))
    running.cancel()


async def test_who_is_told_is_shown_without_path_and_query(group, receiver):
    one = group.start()
    await until(lambda: one._ledger)
    assert one.here().watches[0].receiver + "/hook?token=hidden" == receiver.url
    group.map = None
    with pytest.raises(NotReadyError, match="which worker"):
        await one.state()
