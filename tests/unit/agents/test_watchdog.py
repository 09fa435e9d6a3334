"""The watchdog's decisions; what real brokers park where is in tests/integration/test_worker_liveness.py."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    KafkaError,
)

from agents import watchdog
from agents.source.static_member import FencedInstanceIdError
from agents.watchdog import Stall, Watchdog
from tables.errors import BrokerUnavailableError, ConfigurationError, StalledError
from tables.kafka.broker_errors import GroupMaxSizeReachedError
from tables.kafka.rights import Right, Rights
from tables.kafka.topic_description import TopicDescription
from tables.partitions.restore_progress import Progress

RIGHTS = Rights("User:me", "kafka:9092")
JOIN = Right("Read", "group", "readers")


AT_FIVE = {0: Progress(5, 5, 0)}


def test_a_stall_is_over_only_after_its_time_without_a_move() -> None:
    stall = Stall(12)
    assert stall.moved(AT_FIVE, 100)
    assert not stall.moved(AT_FIVE, 101)
    assert [stall.is_due(now_s) for now_s in (101, 102.9, 103)] == [False, False, True]
    assert not stall.is_over(103)
    assert [stall.is_due(now_s) for now_s in (105.9, 106)] == [False, True]
    assert [stall.is_over(now_s) for now_s in (106, 109, 112, 115)] == [False, False, False, True]


@pytest.mark.parametrize("moved", [Progress(6, 5, 0), Progress(5, 6, 0), Progress(5, 5, 1)])
def test_counting_reading_the_changelog_and_looking_through_a_store_are_moves(moved: Progress) -> None:
    stall = Stall(12)
    stall.moved(AT_FIVE, 100)
    stall.is_over(103)
    assert stall.moved({0: moved}, 114)
    assert not stall.is_over(117)


def test_a_record_that_comes_after_a_long_pause_has_as_much_time_as_any_other() -> None:
    stall = Stall(12)
    stall.moved(AT_FIVE, 100)
    for now_s in range(103, 200, 3):
        assert stall.is_due(now_s)
        stall.restart(now_s)  # There is nothing to count.
    assert not stall.is_over(202)
    assert not stall.is_over(213)
    assert stall.is_over(214)


class FakeCounts:
    def __init__(self, progress: Mapping[int, Progress]) -> None:
        self.now = progress

    def progress(self) -> Mapping[int, Progress]:
        return self.now


class FakeOffsets:
    def __init__(self, end: int, *, exists: bool = True, away: bool = False) -> None:
        self.end, self.topic_exists, self.away = end, exists, away
        self.asked = 0
        self.rights: frozenset[str] | None = None

    async def exists(self, topic: str) -> bool:
        self.asked += 1
        if self.away:
            raise BrokerUnavailableError("no answer")
        return self.topic_exists

    async def describe(self, topic: str) -> TopicDescription:
        return TopicDescription(0, 1, rights=self.rights)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, self.end


class FakeThread:
    def __init__(
        self, *, member: bool = True, error: BaseException | None = None, others: Sequence[str] = ()
    ) -> None:
        self.member, self.error, self.others = member, error, others

    async def strangers(self) -> Sequence[str]:
        return self.others

    def is_member(self) -> bool:
        return self.member

    def parked_error(self) -> BaseException | None:
        return self.error

    def denied(self, error: BaseException) -> ConfigurationError | None:
        return RIGHTS.denied(error, JOIN)


def caused_by(cause: BaseException) -> KafkaError:
    """As aiokafka hides an error of its background tasks."""
    error = KafkaError("Unexpected error during coordination")
    error.__cause__ = cause
    return error


async def found_by(
    monkeypatch: pytest.MonkeyPatch,
    counts: Any,
    offsets: Any,
    thread: Any,
    asks: int = 12,
    obstacle: str | None = None,
    stall_timeout_s: float = 0.005,
) -> Exception | None:
    """What the watchdog ends the process with; None where it still watches after having asked `asks` times."""
    monkeypatch.setattr(watchdog, "CHECK_S", 0.001)
    monkeypatch.setattr(watchdog, "STRANGERS_S", 0.001)
    found: list[Exception] = []
    watching = asyncio.create_task(
        Watchdog(
            counts,
            offsets,
            lambda: thread,
            topic="texts",
            changelog="counts",
            group="readers",
            rights=RIGHTS,
            needed=[Right("Read", "topic", "texts"), JOIN],
            stall_timeout_s=stall_timeout_s,
            obstacle=lambda: obstacle,
            on_fatal=found.append,
        ).watch()
    )
    async with asyncio.timeout(10):
        while not watching.done() and offsets.asked < asks:
            await asyncio.sleep(0)
    watching.cancel()
    return found[0] if found else None


async def test_records_that_nobody_counts_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    error = await found_by(monkeypatch, FakeCounts({0: Progress(7, 1, 0)}), FakeOffsets(8), FakeThread())
    assert isinstance(error, StalledError)


async def test_a_worker_that_has_counted_everything_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        await found_by(monkeypatch, FakeCounts({0: Progress(8, 1, 0)}), FakeOffsets(8), FakeThread()) is None
    )


@pytest.mark.parametrize("topic", ["texts", "counts"])
async def test_a_partition_without_a_leader_ends_nobody_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    class Leaderless(FakeOffsets):
        async def bounds(self, asked: str, partition: int) -> tuple[int, int]:
            if (asked, partition) == (topic, 0):
                raise BrokerUnavailableError("no leader")
            return 0, self.end

    counted = {0: Progress(7, 1, 0), 1: Progress(8, 1, 0)}
    assert await found_by(monkeypatch, FakeCounts(counted), Leaderless(8), FakeThread(), asks=12) is None
    stuck = {0: Progress(7, 1, 0), 1: Progress(7, 1, 0)}
    error = await found_by(monkeypatch, FakeCounts(stuck), Leaderless(8), FakeThread(), asks=100)
    assert isinstance(error, StalledError)


async def test_a_broker_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = FakeOffsets(8, away=True)
    assert await found_by(monkeypatch, FakeCounts({0: Progress(7, 1, 0)}), offsets, FakeThread()) is None


async def test_a_member_without_partitions_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await found_by(monkeypatch, FakeCounts({}), FakeOffsets(8), FakeThread()) is None


async def test_a_worker_that_never_becomes_a_member_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    error = await found_by(monkeypatch, FakeCounts({}), FakeOffsets(8), FakeThread(member=False))
    assert isinstance(error, StalledError)


async def test_a_deleted_topic_ends_the_worker_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    error = await found_by(monkeypatch, FakeCounts({}), FakeOffsets(0, exists=False), FakeThread())
    assert isinstance(error, ConfigurationError)
    assert "texts" in error.message


async def test_a_topic_that_is_away_for_a_moment_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class CreatedAgain(FakeOffsets):
        async def exists(self, topic: str) -> bool:
            await super().exists(topic)
            return self.asked % 3 == 0

    counted = FakeCounts({0: Progress(8, 1, 0)})
    offsets = CreatedAgain(8)
    assert await found_by(monkeypatch, counted, offsets, FakeThread(), asks=30, stall_timeout_s=0.05) is None


@pytest.mark.parametrize(
    "parked",
    [
        GroupAuthorizationFailedError("readers"),
        caused_by(GroupAuthorizationFailedError("readers")),
        InconsistentGroupProtocolError(),
        FencedInstanceIdError(),
        KafkaError(repr(FencedInstanceIdError())),
    ],
)
async def test_an_error_that_aiokafka_parks_ends_the_worker_and_names_the_group(
    monkeypatch: pytest.MonkeyPatch, parked: Exception
) -> None:
    error = await found_by(monkeypatch, FakeCounts({}), FakeOffsets(0), FakeThread(error=parked))
    assert isinstance(error, ConfigurationError)
    assert "readers" in error.message


async def test_a_right_that_is_missing_ends_the_worker_before_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offsets = FakeOffsets(8)
    for told in (None, frozenset({"Describe", "Read"})):
        offsets.rights = told
        assert await found_by(monkeypatch, FakeCounts({0: (8, 1)}), offsets, FakeThread()) is None
        offsets.asked = 0
    offsets.rights = frozenset({"Describe"})
    error = await found_by(monkeypatch, FakeCounts({0: (8, 1)}), offsets, FakeThread())
    assert isinstance(error, ConfigurationError)
    assert error.message == 'User:me has no right to Read on topic "texts"'


async def test_an_error_of_the_watchdogs_own_questions_ends_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Denied(FakeOffsets):
        async def describe(self, topic: str) -> TopicDescription:
            raise RIGHTS.error(Right("Describe", "topic", topic))

    error = await found_by(monkeypatch, FakeCounts({0: (8, 1)}), Denied(8), FakeThread())
    assert isinstance(error, ConfigurationError)


async def test_members_of_the_new_group_protocol_end_the_worker_and_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = FakeThread(others=["app-1 at 10.0.0.7"])
    error = await found_by(
        monkeypatch, FakeCounts({0: Progress(8, 1, 0)}), FakeOffsets(8), thread, asks=100_000
    )
    assert isinstance(error, ConfigurationError)
    assert "group readers has members" in error.message
    assert "app-1 at 10.0.0.7" in error.message


@pytest.mark.parametrize(
    ("parked", "named"),
    [
        (InvalidSessionTimeoutError(), "WORDCOUNT_SESSION_TIMEOUT_MS"),
        (KafkaError(repr(GroupMaxSizeReachedError())), "group.max.size"),
    ],
)
async def test_a_join_that_is_refused_for_good_ends_the_worker_and_names_what_to_change(
    monkeypatch: pytest.MonkeyPatch, parked: Exception, named: str
) -> None:
    error = await found_by(monkeypatch, FakeCounts({}), FakeOffsets(0), FakeThread(error=parked))
    assert isinstance(error, ConfigurationError)
    assert named in str(error)


async def test_what_the_brokers_lack_is_waited_for_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, offsets = FakeCounts({0: Progress(7, 1, 0)}), FakeOffsets(8)
    logged: set[str] = set()
    log = SimpleNamespace(warning=lambda event, *, reason: logged.add(reason))
    monkeypatch.setattr(watchdog, "_log", log)
    assert await found_by(monkeypatch, counts, offsets, FakeThread(), obstacle="too few replicas") is None
    assert logged == {"too few replicas"}
