"""What the shards of a process share: given by whoever builds the topology, fakes in the simulation."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tables.cache.vocabulary import VocabularyLimit
from tables.model.rows import Owner
from tables.model.tally import TallyRecords
from tables.pace.memory import MemoryBudget
from tables.pace.turns import FlushTurns
from tables.partitions.changes import Changes
from tables.ports import Changelog, CommitWitness, DeadLetters, Ownership, RunInThread, Source


@dataclass(frozen=True, slots=True)
class ShardServices:
    """What all shards of a process share.

    Attributes:
        topic, group: input topic and consumer group, recorded in markers.
        profile: identity of the tokenizer, recorded in markers.
        tally: counts the words of record batches.
        changelog: what it packs is sent by itself, and opaque to the shards.
        vocabulary: ids for the cache of old counts.
        run: runs blocking functions beside the event loop: those of a flush.
        run_long: the same for those of a restore, which take seconds.
        turns: bounds the large flushes that are under way.
        changes: told of each durable change.
        memory: what each part of the process may take.
        clock: seconds, monotonic.
        chance: a number from 0 to 1, another each time.
        witness: makes each flush visible instead of the shard, so that it sees it; None = nobody has to.
    """

    topic: str
    group: str
    profile: str
    tally: TallyRecords
    changelog: Changelog[Any]
    ownership: Ownership
    source: Source
    dead_letters: DeadLetters
    vocabulary: VocabularyLimit
    run: RunInThread
    run_long: RunInThread
    turns: FlushTurns = field(default_factory=FlushTurns)
    changes: Changes = field(default_factory=Changes)
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    witness: CommitWitness | None = None

    @property
    def owner(self) -> Owner:
        """Whose counts the changelog has."""
        return Owner(self.group, self.topic)
