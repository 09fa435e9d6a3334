"""What becomes of the followers of a process: take-overs, stores that are damaged, changelogs that are created again."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tables.errors import (
    BrokerUnavailableError,
    ConfigurationError,
    InexactError,
    NotReadyError,
    StoreCorruptedError,
)
from tables.model.names import MARKER_KEY
from tables.model.rows import Marker, encode_marker
from tables.partitions.follower import Follower
from tests.fakes.rows import pack_row
from tests.unit.tables.partitions.assigned_worker import Worker, changelog_of, opened_worker, tasks


def position(worker: Worker, number: int = 0) -> int | None:
    follower = worker.counts.followers.followers().get(number)
    return follower.position if follower is not None and follower.readable else None


async def following(worker: Worker, position_: int, number: int = 0) -> Follower:
    await worker.until(lambda: position(worker, number) == position_)
    return worker.counts.followers.followers()[number]


async def test_standbys_follow_and_the_changes_are_told(worker: Worker) -> None:
    worker.log.records = changelog_of(5)
    await worker.counts.assign((), {0, 1})
    await following(worker, 5)
    await following(worker, 5, 1)
    worker.log.records = changelog_of(7)
    await following(worker, 7)
    await worker.until(
        lambda: {change.partition: change.position for change in worker.changes} == {0: 7, 1: 7}
    )
    assert not worker.counts.shards()


async def test_a_standby_that_becomes_active_hands_its_open_store_over(worker: Worker) -> None:
    worker.log.records = changelog_of(5)
    await worker.counts.assign((), {0})
    follower = await following(worker, 5)
    follower.served.gather_leaders(lambda: None)
    worker.log.records = changelog_of(8)
    await worker.counts.assign({0}, {0, 1})
    assert worker.counts.followers.followers().keys() == {1}
    await worker.counting()
    shard = worker.counts._partitions[0].shard
    assert shard.store is follower.store
    assert shard.served.leaders is follower.served.leaders
    assert shard.served.leaders.whole
    assert worker.position == 8
    worker.flush()
    await worker.until(lambda: worker.position == 9)
    assert shard.store.get_at(b"a")[0] == pack_row(1, 9)


async def test_the_cache_of_a_shard_on_a_store_that_a_follower_has_filled_does_not_take_it_for_empty(
    worker: Worker,
) -> None:
    worker.log.records = changelog_of(5)
    worker.log.records.insert(0, (b"a", pack_row(3, 4)))
    await worker.counts.assign((), {0})
    await following(worker, 5)
    await worker.start()
    worker.flush()
    await worker.until(lambda: worker.position == 6)
    assert worker.counts._partitions[0].shard.store.get_at(b"a")[0] == pack_row(4, 6)


async def test_an_active_partition_that_becomes_a_standby_is_followed(worker: Worker) -> None:
    await worker.start()
    worker.flush()
    await worker.until(lambda: worker.position == 1)
    await worker.counts.suspend(clean=True, timeout_s=1)
    await worker.counts.assign((), {0})
    await following(worker, 1)
    assert worker.seen.states[-1] == "released"


async def test_memory_is_divided_over_both(worker: Worker) -> None:
    divided: list[int] = []
    worker.counts._services.memory.divide = divided.append  # type: ignore[method-assign]
    await worker.counts.assign({0}, {0, 1, 2})
    assert divided == [3]


async def test_standbys_end_with_the_worker(tmp_path: Path) -> None:
    async with opened_worker(tmp_path) as worker:
        await worker.counts.assign((), {0, 1})
        await worker.counts.close()
        assert not worker.counts.followers.followers()
        assert worker.tail.closed == 1
        await worker.counts.assign((), {0})
        assert not worker.counts.followers.followers()
        assert not tasks()


async def test_the_connection_is_closed_without_standbys_and_opened_again(worker: Worker) -> None:
    worker.log.records = changelog_of(2)
    await worker.counts.assign((), {0})
    await following(worker, 2)
    await worker.counts.assign((), ())
    await worker.until(lambda: worker.tail.closed)
    await worker.counts.assign((), {0})
    await following(worker, 2)


async def test_who_waits_for_an_offset_is_told_when_it_was_read(worker: Worker) -> None:
    worker.log.records = changelog_of(2)
    await worker.counts.assign((), {0})
    followers = worker.counts.followers
    assert await followers.reached(0, 42, 20)
    waiting = asyncio.create_task(followers.reached(0, 63, 20))
    await asyncio.sleep(0)
    assert not waiting.done()
    worker.log.records = changelog_of(3)
    assert await waiting
    assert not await followers.reached(0, 64, 0.01)
    assert not await followers.reached(1, 0, 20)


async def test_followers_wait_for_a_broker_that_is_away(worker: Worker) -> None:
    worker.log.records = changelog_of(2)
    worker.log.unavailable = worker.tail.unavailable = BrokerUnavailableError("away")
    await worker.counts.assign((), {0})
    await asyncio.sleep(0.05)
    assert position(worker) is None
    worker.log.unavailable = None
    await worker.until(lambda: worker.tail.polls)
    worker.tail.unavailable = None
    await following(worker, 2)
    assert not worker.fatal


async def test_an_error_of_the_tail_that_no_retry_mends_ends_the_process(worker: Worker) -> None:
    worker.tail.unavailable = ConfigurationError("no right to read")
    await worker.counts.assign((), {0})
    await worker.until(lambda: worker.fatal)
    assert worker.counts.followers.followers()[0].error == "no right to read"


async def test_an_unreadable_record_stops_the_follower_and_the_store_stays(worker: Worker) -> None:
    worker.log.records = changelog_of(2)
    await worker.counts.assign((), {0})
    follower = await following(worker, 2)
    worker.tail.error = InexactError("unreadable")
    await worker.until(lambda: follower.error)
    assert (follower.state, follower.error, position(worker)) == ("stopped", "unreadable", 2)
    assert not await worker.counts.followers.reached(0, 0, 20)
    worker.tail.error = None
    await worker.counts.assign((), {0})
    assert await following(worker, 2) is not follower
    assert not worker.fatal


def with_id(records: list[Any], changelog_id: str) -> list[Any]:
    return [
        (key, value.replace(b'"changelog"', f'"{changelog_id}"'.encode()))
        if key == MARKER_KEY
        else (key, value)
        for key, value in records
    ]


async def test_a_changelog_that_was_created_again_with_records_is_followed_from_its_beginning(
    worker: Worker,
) -> None:
    worker.log.records = changelog_of(5)
    await worker.counts.assign((), {0})
    await following(worker, 5)
    worker.log.identity = lambda: asyncio.sleep(0, "another")  # type: ignore[method-assign]
    worker.log.records = with_id(changelog_of(3), "another")
    worker.tail.error = InexactError("out of range")
    await worker.until(lambda: worker.counts.followers.followers()[0].error)
    worker.tail.error = None
    await following(worker, 3)
    assert worker.counts.followers.followers()[0].store.get_at(b"w0")[0] == pack_row(3, 3)


@pytest.mark.parametrize("left", [0, 2])
async def test_a_store_that_the_changelog_cannot_make_again_is_kept(worker: Worker, left: int) -> None:
    worker.log.records = changelog_of(5)
    await worker.counts.assign((), {0})
    await following(worker, 5)
    await worker.counts.assign((), ())
    worker.log.records = worker.log.records[:left]
    await worker.counts.assign((), {0})
    await worker.until(lambda: worker.counts.followers.followers()[0].error)
    stopped = worker.counts.followers.followers()[0]
    assert f"it ends at offset {left}, 105 was next to read" in stopped.error
    assert stopped.position == 5
    assert stopped.store.get_at(b"w0")[0] == pack_row(5, 5)


async def test_a_damaged_store_is_filled_again_from_the_changelog(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.log.records = changelog_of(5)
    await worker.counts.assign((), {0})
    damaged = await following(worker, 5)
    apply = Follower.apply

    def applied(follower: Follower, part: Any) -> None:
        if follower is damaged:
            raise StoreCorruptedError("damaged")
        apply(follower, part)

    monkeypatch.setattr(Follower, "apply", applied)
    await worker.until(lambda: worker.counts.followers.followers()[0] is not damaged)
    assert (await following(worker, 5)).store.get_at(b"w0")[0] == pack_row(5, 5)


async def test_a_store_that_is_damaged_again_and_again_ends_the_process(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def applied(follower: Follower, part: Any) -> None:
        raise StoreCorruptedError("damaged")

    monkeypatch.setattr(Follower, "apply", applied)
    worker.log.records = changelog_of(1)
    await worker.counts.assign((), {0})
    await worker.until(lambda: worker.fatal)
    assert isinstance(worker.fatal[0], StoreCorruptedError)


async def test_a_store_that_a_reader_finds_damaged_is_filled_again(worker: Worker) -> None:
    worker.log.records = changelog_of(5)
    await worker.counts.assign((), {0})
    damaged = await following(worker, 5)
    folder = worker.counts._stores.folder_of(0)
    worker.counts.rebuild_corrupted(StoreCorruptedError("damaged", folder=folder))
    await worker.until(lambda: worker.counts.followers.followers()[0] is not damaged)
    await following(worker, 5)
    with pytest.raises(NotReadyError):
        damaged.served.stored_count_of(b"w0")


async def test_two_followers_at_a_time_are_on_the_way_to_the_end(worker: Worker) -> None:
    worker.log.records, worker.tail.most = changelog_of(10), 50
    await worker.counts.assign((), range(4))
    for number in range(4):
        await following(worker, 10, number)
    ends = [sum(start < 200 for start in poll.values()) for poll in worker.tail.polls]
    assert max(ends) == 2


async def test_a_marker_of_another_changelog_stops_the_follower(worker: Worker) -> None:
    worker.log.records = changelog_of(2)
    await worker.counts.assign((), {0})
    follower = await following(worker, 2)
    stranger = Marker(topic="texts", profile="p", origin=0, position=9, changelog_id="stranger")
    worker.log.records = [*worker.log.records, (MARKER_KEY, encode_marker(stranger))]
    await worker.until(lambda: follower.error)
    assert "two changelogs" in follower.error
    assert position(worker) == 2


async def test_a_follower_that_stops_again_and_again_is_logged_once_until_it_follows(worker: Worker) -> None:
    worker.log.records = changelog_of(2)
    await worker.counts.assign((), {0})
    await following(worker, 2)
    followers = worker.counts.followers
    with capture_logs() as logged:

        def lines(text: str) -> int:
            return sum(line["event"] == text for line in logged)

        worker.tail.error = InexactError("unreadable")
        for _ in range(3):
            stopped = followers.followers()[0]
            await worker.until(lambda stopped=stopped: stopped.error)
            await worker.until(lambda: not tasks_of_beginning())
            await followers.follow({0})
        assert lines("a follower stopped") == 1
        worker.tail.error = None
        await followers.follow({0})
        await following(worker, 2)
        await worker.until(lambda: lines("a follower that had stopped follows again"))
        worker.tail.error = InexactError("unreadable")
        await worker.until(lambda: lines("a follower stopped") == 2)


def tasks_of_beginning() -> list[Any]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("follow-") and not task.done()]


async def test_a_damaged_store_that_is_taken_away_while_another_is_replaced_is_forgotten(
    worker: Worker,
) -> None:
    worker.log.records = changelog_of(5)
    await worker.counts.assign((), {0, 1})
    damaged = await following(worker, 5)
    await following(worker, 5, 1)
    followers, stores = worker.counts.followers, worker.counts._stores
    polling, go_on, poll = threading.Event(), threading.Event(), worker.tail.poll

    def held_poll(wanted: Any, timeout_s: float) -> Any:
        polling.set()
        go_on.wait(20)
        return poll(wanted, timeout_s)

    worker.tail.poll = held_poll  # type: ignore[method-assign]
    await worker.until(polling.is_set)
    taking = asyncio.create_task(followers.take(1))
    await asyncio.sleep(0)
    for number in (0, 1):
        followers.rebuild_corrupted(StoreCorruptedError("damaged", folder=stores.folder_of(number)))
    go_on.set()
    taken = await taking
    assert taken is not None
    await worker.until(lambda: followers.followers()[0] is not damaged)
    await following(worker, 5)
    assert followers.followers().keys() == {0}
    taken.store.close()
