"""What a worker and a view have of partitions: in which role rows answer, how far they may lag, and why they may not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from app.reads.answers import Behind, FollowerStatus
from app.reads.holdings import Held, ViewHoldings, WorkerHoldings
from tables.errors import BrokerUnavailableError
from tables.pace.courtesy import Courtesy
from tables.partitions.restore_progress import RestoreProgress

QUESTION_S = 10.0


@dataclass
class Follower:
    """A follower at a position, which has read its changelog unless a test says otherwise."""

    position: int = 100
    behind_records: int = 0
    behind_s: float = 0.0
    state: str = "following"
    readable: bool = True
    begun: bool = True
    error: str = ""
    marker: str | None = "a marker"
    progress: RestoreProgress = field(default_factory=lambda: RestoreProgress(end=4, examined=1))

    @property
    def served(self) -> str:
        return f"followed up to {self.position}"

    @property
    def store(self) -> Any:
        return SimpleNamespace(state=SimpleNamespace(marker=self.marker))


class Ends:
    """The ends of the input partitions: 103, until a test says otherwise."""

    def __init__(self) -> None:
        self.end = 103
        self.error: Exception | None = None
        self.silent = False
        self.asked: list[set[int]] = []

    async def __call__(self, numbers: Collection[int]) -> Mapping[int, int]:
        self.asked.append(set(numbers))
        if self.silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return dict.fromkeys(numbers, self.end)


class Freshness:
    """Rows that are newest by lease, and those that would be proven."""

    def __init__(self, leased: Mapping[int, Any], proven: Mapping[int, Any]) -> None:
        self._leased, self._proven = leased, proven
        self.asked: list[tuple[list[int], float]] = []

    def leased(self) -> Mapping[int, Any]:
        return self._leased

    async def proven(self, numbers: Collection[int], timeout_s: float) -> Mapping[int, Any]:
        self.asked.append((sorted(numbers), timeout_s))
        return {number: self._proven[number] for number in numbers if number in self._proven}


class Partitions:
    """The partitions that a worker owns, by state, and those that it follows."""

    def __init__(self, owned: Mapping[int, str], followers: Mapping[int, Follower]) -> None:
        self.owned = owned
        self.followers = SimpleNamespace(followers=lambda: followers)
        self.restores: dict[int, tuple[float, int, float | None]] = {}
        self.failed: dict[int, str] = {}

    def partition_numbers(self) -> Collection[int]:
        return self.owned.keys()

    def state(self, number: int) -> tuple[str, int]:
        return self.owned[number], 103

    def shards(self) -> Mapping[int, Any]:
        return {
            number: SimpleNamespace(position=100)
            for number, state in self.owned.items()
            if state == "counting"
        }

    def restoring(self) -> Mapping[int, tuple[float, int, float | None]]:
        return self.restores

    def errors(self) -> Mapping[int, str]:
        return self.failed


def view(followers: Mapping[int, Follower], ends: Ends | None = None) -> ViewHoldings:
    found: Any = SimpleNamespace(followers=lambda: followers)
    return ViewHoldings(found, ends or Ends())


async def held(
    holdings: ViewHoldings | WorkerHoldings, numbers: Collection[int], lag: int | None = None
) -> Held:
    return await holdings.held(numbers, lag, monotonic() + QUESTION_S)


def worker(
    partitions: Any, *, leased: Mapping[int, Any] | None = None, proven: Mapping[int, Any] | None = None
) -> tuple[WorkerHoldings, Any, Ends]:
    freshness: Any = Freshness(leased or {}, proven or {})
    ends = Ends()
    return WorkerHoldings(partitions, freshness, ends, Courtesy()), freshness, ends


async def test_a_view_answers_as_of_the_last_marker_however_far_it_is_behind() -> None:
    ends = Ends()
    found = await held(view({2: Follower(behind_records=9, behind_s=1.23456)}, ends), [2])
    assert found.rows == {2: "followed up to 100"}
    assert found.served_by == {2: "view"}
    assert found.behind == {2: Behind(9, 1.235)}
    assert not found.refused
    assert not ends.asked


@pytest.mark.parametrize(("lag", "answers"), [(3, True), (2, False), (0, False)])
async def test_a_view_answers_within_the_lag_that_is_allowed_inclusive(lag: int, answers: bool) -> None:
    ends = Ends()
    found = await held(view({0: Follower()}, ends), [0], lag)
    assert (0 in found.rows) is answers
    assert found.refused == ({} if answers else {0: "its follower lags by 3 records"})
    assert ends.asked == [{0}]


async def test_a_view_without_lag_answers_a_question_that_allows_none() -> None:
    assert (await held(view({0: Follower(position=103)}), [0], 0)).rows


@pytest.mark.parametrize(
    ("follower", "reason"),
    [
        (Follower(error="truncated", readable=True), "its follower has stopped: truncated"),
        (Follower(state="restoring", readable=False, begun=False), "its follower waits for the changelog"),
        (
            Follower(state="restoring", readable=False),
            "its follower reads the changelog, 25% is read",
        ),
        (Follower(readable=False, marker=None), "nothing of it is counted yet"),
        (Follower(readable=False), "its follower waits for the end of a flush"),
    ],
)
async def test_a_view_says_why_it_does_not_answer(follower: Follower, reason: str) -> None:
    for lag in (None, 5):
        ends = Ends()
        found = await held(view({1: follower}, ends), [1], lag)
        assert found.refused == {1: reason}
        assert not found.rows
        assert not ends.asked


async def test_a_view_names_partitions_that_it_does_not_follow_yet_and_answers_the_others() -> None:
    found = await held(view({0: Follower()}), [0, 7])
    assert found.rows.keys() == {0}
    assert found.refused == {7: "it is not followed yet"}


async def test_without_a_broker_nobody_knows_the_lag() -> None:
    ends = Ends()
    ends.error = BrokerUnavailableError("no ends of texts", "look at the brokers")
    found = await held(view({0: Follower()}, ends), [0], 1000)
    assert found.refused == {0: "how far it lags cannot be found out (no ends of texts)"}
    assert (await held(view({0: Follower()}, ends), [0])).rows


async def test_a_broker_that_says_nothing_costs_no_more_than_the_time_of_the_question() -> None:
    ends = Ends()
    ends.silent = True
    async with asyncio.timeout(QUESTION_S):
        found = await view({0: Follower()}, ends).held([0], 1000, monotonic() + 0.05)
    assert found.refused == {0: "how far it lags cannot be found out (no broker answered in time)"}


async def test_a_view_owns_nothing_and_tells_of_its_followers() -> None:
    followers = {
        3: Follower(state="restoring", marker=None, begun=False),
        1: Follower(behind_records=2),
        2: Follower(state="restoring"),
        4: Follower(state="stopped", error="truncated"),
    }
    holdings = view(followers)
    assert not holdings.owned()
    assert not holdings.partitions()
    assert set(holdings.followed()) == {1, 2, 3, 4}
    assert holdings.standbys() == {
        1: FollowerStatus("following", 100, Behind(2, 0.0), 1.0, ""),
        2: FollowerStatus("restoring", 100, Behind(0, 0.0), 0.25, ""),
        3: FollowerStatus("restoring", None, Behind(0, 0.0), 0.0, ""),
        4: FollowerStatus("stopped", 100, Behind(0, 0.0), 0.25, "truncated"),
    }


async def test_a_worker_answers_by_its_lease_without_a_proof() -> None:
    holdings, freshness, ends = worker(Partitions({0: "counting"}, {}), leased={0: "rows", 1: "others"})
    found = await held(holdings, [0])
    assert (found.rows, found.served_by, found.behind, found.refused) == ({0: "rows"}, {0: "active"}, {}, {})
    assert not freshness.asked
    assert not ends.asked


async def test_a_worker_answers_what_is_proven_in_the_role_that_it_has() -> None:
    follower = Follower(behind_records=1)
    holdings, freshness, _ = worker(
        Partitions({0: "counting", 1: "counting"}, {2: follower}),
        leased={0: "leased"},
        proven={1: "suspended", 2: follower.served},
    )
    found = await held(holdings, [0, 1, 2])
    assert found.rows == {0: "leased", 1: "suspended", 2: follower.served}
    assert found.served_by == {0: "active", 1: "active", 2: "standby"}
    assert found.behind == {2: Behind(1, 0.0)}
    ((numbers, timeout_s),) = freshness.asked
    assert numbers == [1, 2]
    assert 0 < timeout_s <= QUESTION_S / 2


async def test_a_standby_that_may_lag_answers_without_a_proof() -> None:
    holdings, freshness, ends = worker(Partitions({}, {2: Follower()}))
    found = await held(holdings, [2], 3)
    assert (found.served_by, found.refused) == ({2: "standby"}, {})
    assert not freshness.asked
    assert ends.asked == [{2}]


async def test_a_standby_that_lags_too_far_may_still_prove_that_it_is_the_newest() -> None:
    """The owner may lag as far."""
    follower = Follower()
    holdings, freshness, _ = worker(Partitions({}, {2: follower}), proven={2: follower.served})
    found = await held(holdings, [2], 2)
    assert (found.served_by, found.refused) == ({2: "standby"}, {})
    assert freshness.asked


async def test_a_follower_is_not_asked_for_a_partition_that_is_leased() -> None:
    holdings, _, ends = worker(Partitions({2: "counting"}, {2: Follower()}), leased={2: "rows"})
    assert (await held(holdings, [2], 5)).served_by == {2: "active"}
    assert not ends.asked


async def test_a_worker_says_why_it_does_not_answer() -> None:
    partitions = Partitions(
        {0: "restoring", 1: "restoring", 2: "stopped", 3: "counting"},
        {5: Follower(), 6: Follower(error="truncated")},
    )
    partitions.restores = {0: (0.25, 7, None)}
    partitions.failed = {2: "records are lost"}
    holdings, _, _ = worker(partitions)
    assert (await held(holdings, range(8))).refused == {
        0: "it is being restored, 25% of its changelog is read",
        1: "it waits to be restored",
        2: "it is stopped: records are lost",
        3: "it cannot be proven that its counts are the newest",
        4: "it is not here",
        5: "its follower is not as new as what others have shown",
        6: "its follower has stopped: truncated",
        7: "it is not here",
    }


async def test_a_proof_waits_no_longer_than_the_time_that_is_left() -> None:
    holdings, freshness, _ = worker(Partitions({0: "counting"}, {}))
    await holdings.held([0], None, monotonic() - 1)
    assert freshness.asked == [([0], 0.0)]
