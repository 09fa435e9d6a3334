"""The mutants of followers and of newest answers: each function patches a part of the rules 17 and 18 out of `tables`."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest

from app.reads.answers import Terms
from app.reads.parties import Asks, Found, Parties
from tables.cache.counts import CountCache
from tables.errors import PartitionsLostError
from tables.model.replay import Replay
from tables.partitions import follower as follower_module
from tables.partitions import freshness as freshness_module
from tables.partitions import settled_tail as settled_tail_module
from tables.partitions.follower import Follower
from tables.partitions.followers import Followers
from tables.partitions.freshness import Freshness
from tables.partitions.served_rows import ServedRows
from tables.partitions.settled_tail import OWNER_S
from tables.partitions.shard import Shard
from tests.simulation import process as process_module
from tests.simulation.connections import Changelog, Lease
from tests.simulation.disks import Disk, MemoryStore

Patch = pytest.MonkeyPatch


def rows_of_followers_shown_before_their_marker(patch: Patch) -> None:
    patch.setattr(follower_module, "_records_to_last_marker", lambda part: part.record_count)
    patch.setattr(Follower, "_write", _written_as_exact)


def position_of_followers_taken_from_foreign_markers(patch: Patch) -> None:
    patch.setattr(Follower, "_write", _written_as_exact)


def _written_as_exact(follower: Follower, replay: Replay) -> None:
    rows = replay.take()
    examined = follower.store.state.examined if replay.needs_healing() else replay.examined
    state = replay.state(examined, whole=follower._whole)
    follower.served.write(rows, msgspec.structs.replace(state, max_upto=state.position))


def followers_past_what_has_to_be_healed(patch: Patch) -> None:
    def written(follower: Follower, replay: Replay) -> None:
        rows = replay.take()
        follower.served.write(rows, replay.state(replay.examined, whole=follower._whole))

    patch.setattr(Follower, "_write", written)


def followers_overtaken_by_compaction(patch: Patch) -> None:
    begin = Follower.begin

    def begun(follower: Follower, *arguments: Any) -> None:
        begin(follower, *arguments)
        follower._target, follower._target_told_s = 0, math.inf

    patch.setattr(Follower, "begin", begun)


def stores_that_followers_have_filled_taken_for_empty(patch: Patch) -> None:
    open_store, create = MemoryStore.__init__, Shard.__init__

    def opened(store: MemoryStore, disk: Disk) -> None:
        open_store(store, disk)
        vars(store)["was_empty"] = not store.state.has_rows

    def created(shard: Shard, number: int, store: Any, *arguments: Any) -> None:
        create(shard, number, store, *arguments)
        shard.cache = CountCache(shard.services.vocabulary.current, complete=store.was_empty)

    patch.setattr(MemoryStore, "__init__", opened)
    patch.setattr(Shard, "__init__", created)


def followers_that_have_read_but_not_written_taken_for_newest(patch: Patch) -> None:
    patch.setattr(
        Follower, "applied", property(lambda follower: follower.next, lambda follower, _: None), raising=False
    )


def followers_taken_for_newest_wherever_they_are(patch: Patch) -> None:
    async def reached(followers: Followers, *_: Any) -> bool:
        return True

    patch.setattr(Followers, "reached", reached)


def owners_taken_for_newest_during_a_flush(patch: Patch) -> None:
    patch.setattr(Freshness, "leased", _leased)


def followers_that_show_a_flush_at_once(patch: Patch) -> None:
    patch.setattr(settled_tail_module, "SETTLE_S", 0.0)
    patch.setattr(freshness_module, "OWNER_S", OWNER_S)
    patch.setattr(process_module, "TAIL_S", [0.005, 0.01, 0.02, 0.05, 0.1, 0.5])


def owners_that_begin_their_time_when_the_marker_is_acknowledged(patch: Patch) -> None:
    append = Changelog.append

    async def late(
        changelog: Changelog,
        partition: int,
        records: Any,
        before_last: Callable[[], Awaitable[None]] | None = None,
    ) -> Any:
        ranges = await append(changelog, partition, records)
        if before_last is not None:
            await before_last()
        return ranges

    patch.setattr(Changelog, "append", late)


def owners_taken_for_newest_after_their_lease(patch: Patch) -> None:
    patch.setattr(Lease, "check", lambda lease: None)


def _leased(freshness: Freshness) -> Mapping[int, ServedRows]:
    try:
        freshness._check_lease()
    except PartitionsLostError:
        return {}
    counting = freshness._counting()
    return {number: shard.served for number, shard in freshness._shards().items() if number in counting}


def answers_of_two_owners_added_up(patch: Patch) -> None:
    async def all_asked(parties: Parties, asks: Asks, terms: Terms, end_s: float) -> Found:
        routes, count = parties._routes_now(), parties.partition_count() or 0
        told = [await parties.ask(url, asks(range(count)), end_s) for url in routes.urls]
        return Found([*routes.urls], told)

    patch.setattr(Parties, "gather", all_asked)
