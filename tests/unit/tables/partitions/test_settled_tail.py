"""The delay of the changelog's tail: what is delivered when, and from which changelog."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tables.errors import InexactError
from tables.model.records import ChangelogSlice
from tables.partitions import settled_tail
from tables.partitions.settled_tail import OWNER_S, SETTLE_S, SettledTail
from tables.ports import Tailed

EPSILON_S = 0.001


class Tail:
    """A tail that delivers what a test puts into it, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.next: dict[int, Tailed] = {}
        self.asked: list[tuple[Mapping[int, int], float]] = []
        self.closed = self.woken = False

    def clock(self) -> float:
        return self.now_s

    def poll(self, wanted: Mapping[int, int], timeout_s: float) -> Mapping[int, Tailed]:
        self.asked.append((dict(wanted), timeout_s))
        found, self.next = self.next, {}
        return {number: part for number, part in found.items() if number in wanted}

    def wake(self) -> None:
        self.woken = True

    def close(self) -> None:
        self.closed = True

    def reads(self, start: int, next_offset: int, end: int, number: int = 0) -> None:
        records = [(b"w", bytes(16))] * (next_offset - start)
        slices = [ChangelogSlice.of(records, next_offset)] if next_offset > start else []
        self.next[number] = Tailed(slices, end, self.now_s)


@pytest.fixture
def tail() -> Tail:
    return Tail()


@pytest.fixture
def settled(tail: Tail) -> SettledTail:
    made = SettledTail(tail, tail.clock)
    made.confirm(float("inf"))
    return made


def offsets(part: Tailed) -> list[int]:
    return [one.next_offset for one in part.slices]


def test_an_owner_stops_answering_before_followers_show_its_flush() -> None:
    assert OWNER_S < SETTLE_S


def test_records_are_delivered_when_they_are_old_enough(tail: Tail, settled: SettledTail) -> None:
    tail.reads(5, 8, 8)
    (first,) = settled.poll({0: 5}, 1.0).values()
    assert (offsets(first), first.end, first.latest_end) == ([], None, 8)
    tail.now_s += SETTLE_S - EPSILON_S
    assert not settled.poll({0: 5}, 1.0)[0].slices
    tail.now_s += 2 * EPSILON_S
    part = settled.poll({0: 5}, 1.0)[0]
    assert (offsets(part), part.end, part.told_s) == ([8], 8, 100.0)
    assert tail.asked[-1][0] == {0: 8}, "reading goes on meanwhile"
    assert not settled.poll({0: 8}, 1.0)[0].slices


def test_a_poll_ends_when_something_gets_old_enough(tail: Tail, settled: SettledTail) -> None:
    tail.reads(0, 2, 2)
    settled.poll({0: 0}, 1.0)
    tail.now_s += 0.1
    settled.poll({0: 0}, 1.0)
    assert tail.asked[-1][1] == pytest.approx(SETTLE_S - 0.1)


def test_what_was_below_an_old_end_is_delivered_at_once(tail: Tail, settled: SettledTail) -> None:
    tail.reads(0, 2, 50)
    settled.poll({0: 0}, 1.0)
    tail.now_s += SETTLE_S + EPSILON_S
    tail.reads(2, 50, 60)
    assert offsets(settled.poll({0: 0}, 1.0)[0]) == [2, 50]
    tail.reads(50, 60, 60)
    part = settled.poll({0: 50}, 1.0)[0]
    assert (offsets(part), part.end, part.latest_end) == ([], 50, 60)


def test_what_was_below_an_end_that_was_told_before_is_delivered_at_once(
    tail: Tail, settled: SettledTail
) -> None:
    settled.told(0, 8, tail.now_s)
    tail.now_s += SETTLE_S - EPSILON_S
    tail.reads(5, 7, 9)
    assert not settled.poll({0: 5}, 1.0)[0].slices, "the end is not old enough"
    tail.now_s += 2 * EPSILON_S
    tail.reads(7, 9, 9)
    part = settled.poll({0: 5}, 1.0)[0]
    assert (offsets(part), part.end, part.told_s) == ([7], 8, 100.0)
    tail.now_s += SETTLE_S
    assert offsets(settled.poll({0: 7}, 1.0)[0]) == [9]
    tail.reads(5, 7, 9)
    assert not settled.poll({0: 5}, 1.0)[0].slices, "an end is told for one beginning"


def test_a_follower_that_goes_on_elsewhere_is_read_from_there(tail: Tail, settled: SettledTail) -> None:
    tail.reads(0, 9, 9)
    settled.poll({0: 0}, 1.0)
    tail.now_s += 1
    tail.reads(3, 4, 9)
    assert not settled.poll({0: 3}, 1.0)[0].slices
    assert tail.asked[-1][0] == {0: 3}


def test_an_error_comes_after_the_records_before_it(tail: Tail, settled: SettledTail) -> None:
    tail.reads(0, 2, 2)
    settled.poll({0: 0}, 1.0)
    tail.next[0] = Tailed((), None, tail.now_s, InexactError("out of range"))
    assert settled.poll({0: 0}, 1.0)[0].error is None
    tail.now_s += SETTLE_S + EPSILON_S
    part = settled.poll({0: 0}, 1.0)[0]
    assert offsets(part) == [2]
    assert part.error is not None


def test_nothing_is_delivered_that_was_read_after_the_last_look_at_the_changelogs_id(
    tail: Tail, settled: SettledTail
) -> None:
    settled.confirm(99.0)
    tail.reads(0, 2, 2)
    settled.poll({0: 0}, 1.0)
    assert settled.holds_records
    tail.now_s += 10
    assert not settled.poll({0: 0}, 1.0)[0].slices
    settled.confirm(tail.now_s)
    assert offsets(settled.poll({0: 0}, 1.0)[0]) == [2]
    assert not settled.holds_records


def test_records_that_wait_are_bounded(
    tail: Tail, settled: SettledTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled_tail, "MOST_BYTES", 50)
    tail.reads(0, 9, 9)
    settled.poll({0: 0, 1: 0}, 1.0)
    settled.poll({0: 0, 1: 0}, 1.0)
    assert tail.asked[-1][0] == {1: 0}, "only the partition of which nothing waits is read"


def test_closing_forgets_what_waits(tail: Tail, settled: SettledTail) -> None:
    tail.reads(0, 2, 2)
    settled.poll({0: 0}, 1.0)
    settled.close()
    settled.wake()
    assert tail.closed
    assert tail.woken
    assert not settled.holds_records
