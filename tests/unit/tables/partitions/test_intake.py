"""Which partitions take records in."""

from __future__ import annotations

from math import ceil
from types import SimpleNamespace
from typing import Any

from tables.partitions.intake import BACKLOG_SHARE, FILLED_AT_ONCE, Intake
from tables.partitions.life import State
from tables.partitions.owned_partition import OwnedPartition

BUFFER_BYTES = 1000
TOTAL_BYTES = 8000
NEAR_OFFSETS = 10
MANY = range(20)


def _part(*, behind: int = 1000, buffered: int = 0, since: float = 0.0, flushing: int = 0) -> OwnedPartition:
    shard: Any = SimpleNamespace(
        buffer=[object()] if buffered else [],
        buffered_bytes=buffered,
        flushing_bytes=flushing,
        buffered_since=since,
        next=0,
    )
    return OwnedPartition(shard, state=State.COUNTING, highwater=behind)


def _choose(partitions: dict[int, OwnedPartition]) -> set[int]:
    return _intake().choose(partitions, BUFFER_BYTES)


def _intake() -> Intake:
    return Intake(near_offsets=NEAR_OFFSETS, total_bytes=TOTAL_BYTES)


def test_all_that_have_caught_up_are_chosen() -> None:
    assert _choose({number: _part(behind=NEAR_OFFSETS) for number in MANY}) == set(MANY)


def test_few_that_lag_behind_are_chosen_beside_those_that_have_caught_up() -> None:
    parts = {number: _part() for number in MANY}
    parts[30] = _part(behind=0)
    chosen = _choose(parts)
    assert 30 in chosen
    assert len(chosen) == 1 + FILLED_AT_ONCE


def test_a_buffer_that_was_begun_is_filled_first_the_oldest_before_others() -> None:
    parts = {number: _part() for number in MANY}
    parts[7] = _part(buffered=1, since=3.0)
    parts[8] = _part(buffered=500, since=5.0)
    parts[9] = _part(buffered=1, since=4.0)
    parts[10] = _part(buffered=1, since=2.0)
    assert _choose(parts) == {7, 9, 10}


def test_all_that_lag_behind_get_their_turn_though_nothing_can_be_fetched_of_them() -> None:
    intake, parts = _intake(), {number: _part() for number in MANY}
    polls = ceil(len(MANY) / FILLED_AT_ONCE)
    chosen = [intake.choose(parts, BUFFER_BYTES) for _ in range(polls)]
    assert set.union(*chosen) == set(MANY)


def test_a_backlog_waits_while_much_is_held_and_those_that_have_caught_up_do_not() -> None:
    much = _part(behind=0, flushing=int(BACKLOG_SHARE * TOTAL_BYTES))
    assert _choose({0: much, 1: _part(), 2: _part(behind=0)}) == {0, 2}
    much.shard.flushing_bytes -= 1
    assert _choose({0: much, 1: _part(), 2: _part(behind=0)}) == {0, 1, 2}


def test_nothing_is_taken_in_while_all_that_may_be_is_held() -> None:
    parts = {0: _part(flushing=TOTAL_BYTES), 1: _part(), 2: _part(behind=0)}
    assert _choose(parts) == set()


def test_a_partition_alone_fills_a_buffer_while_another_one_is_flushed() -> None:
    part = _part(buffered=BUFFER_BYTES - 1, flushing=BUFFER_BYTES)
    part.state = State.FLUSHING
    assert _choose({0: part}) == {0}
    part.shard.buffered_bytes = BUFFER_BYTES
    assert _choose({0: part}) == set()


def test_partitions_that_do_not_count_or_are_about_to_be_seeked_are_not_chosen() -> None:
    restoring, seeking = _part(behind=0), _part(behind=0)
    restoring.state = State.RESTORING
    seeking.seeking = object()  # type: ignore[assignment]
    assert _choose({0: restoring, 1: seeking}) == set()
