"""Where the changelog of a view ends, and why that cannot be told."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from app.view.changelog import FollowedChangelog
from tables.errors import BrokerUnavailableError
from tables.kafka.topic_description import TopicDescription


class Offsets:
    """A topic with some partitions, as a broker tells of it; implements what is used of `TopicOffsets`."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.error: Exception | None = None

    async def describe(self, topic: str) -> TopicDescription:
        if self.error is not None:
            raise self.error
        return TopicDescription(0, self.partitions, f"id of {topic}")

    async def topic_id(self, topic: str) -> str:
        return (await self.describe(topic)).topic_id

    async def ends(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        assert max(partitions) < self.partitions, "this is asked for until a time-out"
        await asyncio.sleep(0)
        return {number: 10 + number for number in partitions}


def followed(partitions: int) -> tuple[FollowedChangelog, Any]:
    offsets: Any = Offsets(partitions)
    return FollowedChangelog("counts", offsets), offsets


async def test_the_changelog_has_the_ends_and_the_id_that_brokers_tell() -> None:
    changelog, _ = followed(3)
    assert await changelog.end_offset(2) == 12
    assert await changelog.end_offsets([0, 1]) == {0: 10, 1: 11}
    assert await changelog.identity() == "id of counts"
    assert not changelog.waiting


@pytest.mark.parametrize(
    ("partitions", "why"),
    [
        (
            0,
            "there is no topic counts; start a worker, which creates the topic, or check WORDCOUNT_GROUP and WORDCOUNT_TOPIC",
        ),
        (2, "counts has no partition 2 yet; start a worker, which extends the topic"),
    ],
)
async def test_a_partition_that_is_not_there_is_waited_for_by_name(partitions: int, why: str) -> None:
    changelog, offsets = followed(partitions)
    with pytest.raises(BrokerUnavailableError) as raised:
        await changelog.end_offset(2)
    assert str(raised.value) == why
    assert changelog.waiting == {2: why}
    if partitions:
        assert await changelog.end_offset(1) == 11
        assert changelog.waiting == {2: why}
    offsets.partitions = 3
    assert await changelog.end_offset(2) == 12
    assert not changelog.waiting


async def test_brokers_that_do_not_answer_are_the_reason_of_the_wait() -> None:
    changelog, offsets = followed(3)
    offsets.error = BrokerUnavailableError("no answer about topic counts")
    with pytest.raises(BrokerUnavailableError):
        await changelog.end_offset(0)
    assert changelog.waiting == {0: "no answer about topic counts"}
