"""Services that all shards and followers of a process share: changelog, ownership, source, threads. The simulation passes fakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tables.cache.vocabulary import VocabularyLimit
from tables.clock import now_s
from tables.model.record_ids import SPAN
from tables.model.rows import Owner
from tables.model.tally import TallyRecords
from tables.model.windows import WindowRules
from tables.pace.memory import MemoryBudget
from tables.pace.turns import FlushTurns
from tables.partitions.changes import Changes
from tables.ports import (
    Changelog,
    ChangelogEnds,
    ChangelogTail,
    CommitWitness,
    DeadLetters,
    Ownership,
    RunInThread,
    Source,
)

CLOSE_THREADS = 32
"""Stores that are closed at a time, so that a worker on a full disk ends in time. A thread is made when it is needed."""


@dataclass(frozen=True, slots=True)
class FollowerServices:
    """Holds what the followers of a process share.

    Attributes:
        owner: the group and topic whose counts the changelog has.
        changelog: tells identity and ends of the changelog; nothing is appended.
        tail: reads the changelog.
        run: runs a blocking function that opens a store in a thread.
        run_close: see `ShardServices`.
        run_tail: runs a blocking function of the tail in its thread, always the same one.
        vocabulary, changes, memory, chance: see `ShardServices`.
        clock: returns seconds on the clock of the tail.
    """

    owner: Owner
    changelog: ChangelogEnds
    tail: ChangelogTail
    run: RunInThread
    run_close: RunInThread
    run_tail: RunInThread
    vocabulary: VocabularyLimit
    changes: Changes
    memory: MemoryBudget
    clock: Callable[[], float]
    chance: Callable[[], float]


@dataclass(frozen=True, slots=True)
class ShardServices:
    """Holds what all shards of a process share.

    Attributes:
        topic, group: input topic and consumer group, recorded in markers.
        profile: identity of the tokeniser, recorded in markers.
        tally: counts the words of record batches.
        changelog: packs and appends changelog records; packed records are opaque to the shards.
        tail: reads the changelog for the followers.
        ownership: proves that this process owns a partition.
        source: the input topic.
        dead_letters: takes the records that cannot be counted.
        vocabulary: bounds and renews the word ids of the cache of old counts.
        run: runs a blocking function of a flush in a thread.
        run_commit: runs the commit of a flush, which is short, in a thread: it does not wait for the counting of other partitions.
        run_long: runs a blocking function of a restore, which may take seconds, in a thread.
        run_close: runs a function that closes a store in a thread, many at a time: on a full disk RocksDB takes seconds for each.
        run_tail: runs a blocking function of the tail in its thread, always the same one.
        turns: bounds the flushes that are under way at a time.
        changes: publishes each durable change.
        memory: bounds the memory of each part of the process.
        clock: returns seconds on the clock of the membership's lease and of the tail, see `tables.clock`.
        chance: returns a random number in [0, 1).
        witness: sees each flush and calls the commit of the flush; None = the shard commits without a witness.
        windows: rules of the windows that are counted.
        dropped_sizes: sizes of windows, in seconds, whose counts are removed where `windows` does not have them.
        id_span: records with ids of a generation, of partitions whose first record with an id is still to come.
    """

    topic: str
    group: str
    profile: str
    tally: TallyRecords
    changelog: Changelog[Any]
    tail: ChangelogTail
    ownership: Ownership
    source: Source
    dead_letters: DeadLetters
    vocabulary: VocabularyLimit
    run: RunInThread
    run_commit: RunInThread
    run_long: RunInThread
    run_close: RunInThread
    run_tail: RunInThread
    turns: FlushTurns = field(default_factory=FlushTurns)
    changes: Changes = field(default_factory=Changes)
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    clock: Callable[[], float] = now_s
    chance: Callable[[], float] = random.random
    witness: CommitWitness | None = None
    windows: WindowRules = field(default_factory=WindowRules)
    dropped_sizes: frozenset[int] = frozenset()
    id_span: int = SPAN

    @property
    def owner(self) -> Owner:
        """The group and topic whose counts the changelog has."""
        return Owner(self.group, self.topic)

    def for_followers(self) -> FollowerServices:
        """Return the services that the followers of this process share with its shards."""
        return FollowerServices(
            owner=self.owner,
            changelog=self.changelog,
            tail=self.tail,
            run=self.run,
            run_close=self.run_close,
            run_tail=self.run_tail,
            vocabulary=self.vocabulary,
            changes=self.changes,
            memory=self.memory,
            clock=self.clock,
            chance=self.chance,
        )
