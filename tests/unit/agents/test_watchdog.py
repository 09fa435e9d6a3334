"""The watchdog's decisions; tests/chaos/test_liveness.py has the same cases with real brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
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
from agents.watchdog import CHECK_S, Stall, Watchdog
from tables.errors import BrokerUnavailableError, ConfigurationError, StalledError
from tables.kafka.broker_errors import GroupMaxSizeReachedError
from tables.kafka.rights import Right, Rights
from tables.kafka.topic_description import TopicDescription
from tables.partitions.restore_progress import Progress
from tests.simulation.virtual_time import VirtualLoop

RIGHTS = Rights("User:me", "kafka:9092")
JOIN = Right("Read", "group", "readers")

AT_FIVE = {0: Progress(5, 5, 0)}


def test_a_stall_is_over_only_after_its_time_without_a_move() -> None:
    stall = Stall(12)
    assert stall.has_moved(AT_FIVE)
    stall.note_move(AT_FIVE, 100)
    assert not stall.has_moved(AT_FIVE)
    assert [stall.is_due(now_s) for now_s in (101, 102.9, 103)] == [False, False, True]
    assert not is_over(stall, 103)
    assert [stall.is_due(now_s) for now_s in (105.9, 106)] == [False, True]
    assert [is_over(stall, now_s) for now_s in (106, 109, 112, 115)] == [False, False, False, True]


def is_over(stall: Stall, now_s: float) -> bool:
    """Whether the stall is over when something to count is seen at `now_s`."""
    stall.note_lag(now_s)
    return stall.is_over(now_s)


@pytest.mark.parametrize("moved", [Progress(6, 5, 0), Progress(5, 6, 0), Progress(5, 5, 1)])
def test_counting_reading_the_changelog_and_looking_through_a_store_are_moves(moved: Progress) -> None:
    stall = Stall(12)
    stall.note_move(AT_FIVE, 100)
    stall.note_lag(103)
    assert stall.has_moved({0: moved})
    stall.note_move({0: moved}, 114)
    assert not is_over(stall, 117)


def test_asking_whether_positions_moved_does_not_restart_the_time() -> None:
    stall = Stall(12)
    stall.note_move(AT_FIVE, 100)
    stall.note_lag(103)
    assert stall.has_moved({})
    assert stall.has_moved({})
    assert stall.is_over(115)


def test_a_record_that_comes_after_a_long_pause_has_as_much_time_as_any_other() -> None:
    stall = Stall(12)
    stall.note_move(AT_FIVE, 100)
    for now_s in range(103, 200, 3):
        assert stall.is_due(now_s)
        stall.restart(now_s)  # There is nothing to count.
    assert not is_over(stall, 202)
    assert not is_over(stall, 213)
    assert is_over(stall, 214)


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


async def _found_by(
    counts: Any,
    offsets: Any,
    thread: Any,
    asks: int = 12,
    obstacle: str | None = None,
) -> Exception | None:
    """What the watchdog ends the process with; None where it still watches after having asked `asks` times."""
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
            stall_timeout_s=12,
            obstacle=lambda: obstacle,
            on_fatal=found.append,
        ).watch()
    )
    while not watching.done() and offsets.asked < asks:
        await asyncio.sleep(CHECK_S / 2)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return found[0] if found else None


def found_by(*arguments: Any, **options: Any) -> Exception | None:
    """`_found_by` in time that passes at once, the same way on a machine of any speed."""
    with closing(VirtualLoop()) as loop:
        return loop.run_until_complete(_found_by(*arguments, **options))


def test_records_that_nobody_counts_end_the_worker() -> None:
    error = found_by(FakeCounts({0: Progress(7, 1, 0)}), FakeOffsets(8), FakeThread())
    assert isinstance(error, StalledError)


def test_a_worker_that_has_counted_everything_goes_on() -> None:
    assert found_by(FakeCounts({0: Progress(8, 1, 0)}), FakeOffsets(8), FakeThread()) is None


@pytest.mark.parametrize("topic", ["texts", "counts"])
def test_a_partition_without_a_leader_ends_nobody_and_hides_no_other(topic: str) -> None:
    class Leaderless(FakeOffsets):
        async def bounds(self, asked: str, partition: int) -> tuple[int, int]:
            if (asked, partition) == (topic, 0):
                raise BrokerUnavailableError("no leader")
            return 0, self.end

    counted = {0: Progress(7, 1, 0), 1: Progress(8, 1, 0)}
    assert found_by(FakeCounts(counted), Leaderless(8), FakeThread(), asks=12) is None
    stuck = {0: Progress(7, 1, 0), 1: Progress(7, 1, 0)}
    error = found_by(FakeCounts(stuck), Leaderless(8), FakeThread(), asks=100)
    assert isinstance(error, StalledError)


def test_a_broker_that_is_away_is_waited_for() -> None:
    offsets = FakeOffsets(8, away=True)
    assert found_by(FakeCounts({0: Progress(7, 1, 0)}), offsets, FakeThread()) is None


def test_a_member_without_partitions_goes_on() -> None:
    assert found_by(FakeCounts({}), FakeOffsets(8), FakeThread()) is None


def test_a_worker_that_never_becomes_a_member_ends() -> None:
    error = found_by(FakeCounts({}), FakeOffsets(8), FakeThread(member=False))
    assert isinstance(error, StalledError)


def test_a_deleted_topic_ends_the_worker_and_is_named() -> None:
    error = found_by(FakeCounts({}), FakeOffsets(0, exists=False), FakeThread())
    assert isinstance(error, ConfigurationError)
    assert "texts" in error.message


def test_a_topic_that_is_away_for_a_moment_ends_nobody() -> None:
    class CreatedAgain(FakeOffsets):
        async def exists(self, topic: str) -> bool:
            await super().exists(topic)
            return self.asked % 3 == 0

    counted = FakeCounts({0: Progress(8, 1, 0)})
    assert found_by(counted, CreatedAgain(8), FakeThread(), asks=30) is None


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
def test_an_error_that_aiokafka_parks_ends_the_worker_and_names_the_group(parked: Exception) -> None:
    error = found_by(FakeCounts({}), FakeOffsets(0), FakeThread(error=parked))
    assert isinstance(error, ConfigurationError)
    assert "readers" in error.message


def test_a_right_that_is_missing_ends_the_worker_before_it_is_needed() -> None:
    offsets = FakeOffsets(8)
    for told in (None, frozenset({"Describe", "Read"})):
        offsets.rights = told
        assert found_by(FakeCounts({0: (8, 1)}), offsets, FakeThread()) is None
        offsets.asked = 0
    offsets.rights = frozenset({"Describe"})
    error = found_by(FakeCounts({0: (8, 1)}), offsets, FakeThread())
    assert isinstance(error, ConfigurationError)
    assert error.message == 'User:me has no right to Read on topic "texts"'


def test_an_error_of_the_watchdogs_own_questions_ends_the_worker() -> None:
    class Denied(FakeOffsets):
        async def describe(self, topic: str) -> TopicDescription:
            raise RIGHTS.error(Right("Describe", "topic", topic))

    error = found_by(FakeCounts({0: (8, 1)}), Denied(8), FakeThread())
    assert isinstance(error, ConfigurationError)


def test_members_of_the_new_group_protocol_end_the_worker_and_are_named() -> None:
    thread = FakeThread(others=["app-1 at 10.0.0.7"])
    error = found_by(FakeCounts({0: Progress(8, 1, 0)}), FakeOffsets(8), thread, asks=100_000)
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
def test_a_join_that_is_refused_for_good_ends_the_worker_and_names_what_to_change(
    parked: Exception, named: str
) -> None:
    error = found_by(FakeCounts({}), FakeOffsets(0), FakeThread(error=parked))
    assert isinstance(error, ConfigurationError)
    assert named in str(error)


def test_what_the_brokers_lack_is_waited_for_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, offsets = FakeCounts({0: Progress(7, 1, 0)}), FakeOffsets(8)
    logged: set[str] = set()
    log = SimpleNamespace(warning=lambda event, *, reason: logged.add(reason))
    monkeypatch.setattr(watchdog, "_log", log)
    assert found_by(counts, offsets, FakeThread(), obstacle="too few replicas") is None
    assert logged == {"too few replicas"}
