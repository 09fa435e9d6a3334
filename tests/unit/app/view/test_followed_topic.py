"""Which partitions a view follows, and when followers that have stopped begin again."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.view.followed_topic import AGAIN_S, LOOK_S, RETRY_S, FollowedTopic
from tables.errors import BrokerUnavailableError


class Followers:
    """Followers that do what `states` says when they begin.

    Attributes:
        followed: the partitions of each call of `follow`.
        states: state by partition of the followers that begin from now on; "following" for others.
    """

    def __init__(self) -> None:
        self.followed: list[list[int]] = []
        self.states: dict[int, str] = {}
        self.now: dict[int, Any] = {}

    def followers(self) -> dict[int, Any]:
        return self.now

    async def follow(self, numbers: Collection[int]) -> None:
        self.followed.append([*numbers])
        self.now = {number: SimpleNamespace(state=self.states.get(number, "following")) for number in numbers}


class Looks:
    """A topic of 2 partitions that is looked at."""

    def __init__(self) -> None:
        self.partitions = 2
        self.error: Exception | None = None
        self.now_s = 100.0
        self.divided: list[int] = []
        self.followers = Followers()
        followers: Any = self.followers
        self.topic = FollowedTopic("texts", self.count, followers, self.divided.append, lambda: self.now_s)

    async def count(self) -> int:
        if self.error is not None:
            raise self.error
        return self.partitions

    async def during(self, seconds: float) -> None:
        """Look as a view does until some seconds have passed."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += await self.topic.look()


async def test_as_many_partitions_are_followed_as_the_topic_has() -> None:
    looks = Looks()
    assert await looks.topic.look() == LOOK_S
    assert (looks.topic.partitions, looks.topic.waits, looks.topic.heard_age_s()) == (2, "", 0)
    looks.partitions = 3
    await looks.during(100)
    assert looks.followers.followed == [[0, 1], [0, 1, 2]]
    assert looks.divided == [2, 3]
    assert looks.topic.partitions == 3


async def test_a_topic_that_cannot_be_looked_at_is_waited_for_and_logged_once() -> None:
    looks = Looks()
    looks.error = BrokerUnavailableError("away")
    with capture_logs() as logged:
        assert await looks.topic.look() == RETRY_S
        assert (looks.topic.partitions, looks.topic.heard_age_s()) == (None, None)
        assert "away" in looks.topic.waits
        await looks.during(20)
        looks.error, looks.partitions = None, 0
        await looks.during(20)
    assert looks.topic.waits == "there is no topic texts"
    assert [line["reason"] for line in logged] == [str(BrokerUnavailableError("away")), looks.topic.waits]
    assert looks.followers.followed == []
    looks.partitions = 1
    await looks.topic.look()
    assert (looks.topic.waits, looks.followers.followed) == ("", [[0]])


async def test_an_error_that_no_retry_mends_is_raised() -> None:
    looks = Looks()
    looks.error = RuntimeError("unknown")
    with pytest.raises(RuntimeError):
        await looks.topic.look()


async def test_a_follower_that_has_stopped_begins_again_at_the_next_look() -> None:
    looks = Looks()
    await looks.during(60)
    assert looks.followers.followed == [[0, 1]]
    looks.followers.now[1].state = "stopped"
    await looks.during(60)
    assert looks.followers.followed == [[0, 1], [0, 1]]


async def test_a_follower_that_stops_each_time_begins_again_after_longer_and_longer_pauses() -> None:
    looks = Looks()
    looks.followers.states = {1: "stopped"}
    await looks.topic.look()
    with capture_logs() as logged:
        begins = []
        for _ in range(200):
            before = len(looks.followers.followed)
            await looks.during(LOOK_S)
            if len(looks.followers.followed) > before:
                begins.append(looks.now_s)
    pauses = [later - earlier for earlier, later in pairwise(begins)]
    assert pauses[: len(AGAIN_S)] == [*AGAIN_S]
    assert set(pauses[len(AGAIN_S) :]) == {AGAIN_S[-1]}
    assert not logged, "the followers themselves log why they stop"

    looks.followers.states = {}
    await looks.during(AGAIN_S[-1] + LOOK_S)
    looks.followers.now[0].state = "stopped"
    before = len(looks.followers.followed)
    await looks.during(LOOK_S)
    assert len(looks.followers.followed) == before + 1, "the pauses are short again"


async def test_a_follower_that_is_on_its_way_is_left_alone() -> None:
    looks = Looks()
    looks.followers.states = {1: "restoring"}
    await looks.during(100)
    assert looks.followers.followed == [[0, 1]]
