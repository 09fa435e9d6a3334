"""A simulated worker process: the real `Partitions` on fakes of all ports in `tables.ports`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from agents.watchdog import Watchdog
from app.reads.answers import Answer, WordPage
from app.reads.queries import WordQueries
from tables.cache.vocabulary import VocabularyLimit
from tables.errors import BrokerUnavailableError
from tables.model.records import RecordBatch
from tables.model.windows import WindowRules
from tables.pace.policy import FlushPolicy
from tables.partitions.freshness import Freshness
from tables.partitions.partitions import Partitions
from tables.partitions.services import ShardServices
from tables.top.top_words import TopWords
from tests.fakes.null_observer import NullObserver
from tests.fakes.parties import OwnedHoldings
from tests.simulation.broker import Broker
from tests.simulation.connections import (
    GROUP,
    TOPIC,
    Changelog,
    DeadLetters,
    InputOffsets,
    Lease,
    Membership,
    Tail,
    connect,
)
from tests.simulation.event_time import CHANGED_RULES
from tests.simulation.ids import SPAN
from tests.simulation.owned_tasks import CURRENT
from tests.simulation.plan import Bias
from tests.simulation.polls import joined_batches
from tests.simulation.tellings import Tellings
from tests.simulation.threads import Thread

if TYPE_CHECKING:
    from tables.kafka.offsets import TopicOffsets
    from tables.kafka.rights import Rights
from tests.simulation.asked_windows import SIZES, Windowed, asked_windows
from tests.simulation.asking import (
    PARTIAL,
    FollowedHoldings,
    at_once,
    off_the_loop,
    queries_at_once,
    slow_queries,
)
from tests.simulation.connections import LiveMembership

LEADING = 2
"""Number of words in the questions for the most frequent words that do not ask for `exact`."""

TAIL_S = [0.01, 0.05, 0.1, 0.3, 0.3, 1.0]
"""How long the records of a poll take to come to the followers, in virtual seconds."""
SLOW_S = [1.0, 2.0, 4.0]
"""Pauses of a thread between two reads of the changelog, in a process that reads the changelog slowly."""

ALL_SIZES = frozenset(rule.size_s for rules in CHANGED_RULES for rule in rules.sizes)

PAUSES_S = [0.001, 0.02, 0.02, 0.1, 0.1, 0.1, 0.3, 0.3, 1.0, 1.0, 4.0, 30.0]
TALLY = RecordTally(
    tokenizer("whitespace"), value_format("text", ""), Policies(on_invalid_utf8="dead_letter")
)


_POLICIES = (
    FlushPolicy(flush_bytes=8, total_bytes=32, near_offsets=0),
    FlushPolicy(flush_bytes=64, near_offsets=3),
    FlushPolicy(flush_bytes=1 << 20),
)
"""Small buffers of partitions that take turns when they lag behind by 1 offset, or by 4; and a large buffer for every partition."""


class Process:
    """A worker from its start to its end.

    Args:
        name: a name that no other process has.
        machine: the machine whose disks the process uses.
        broker: input, changelog and group.
        random: decides every pause and failure.
        aside: decides the rest, without using up `random`: where threads stop, and how long a retry waits.
        apart: decides what followers read, without using up `random` or `aside`.
        fault_rate: probability of each fault at each place.
        bias: see `Plan`.
        windows: rules of the windows that are counted.
        on_fatal: called with the process and an error that ends it.
        may_drop: whether counts of windows may be removed that `windows` does not have.
    """

    def __init__(
        self,
        name: str,
        machine: str,
        broker: Broker,
        random: Random,
        aside: Random,
        apart: Random,
        fault_rate: float,
        bias: Bias,
        windows: WindowRules,
        on_fatal: Callable[["Process", Exception], None],
        *,
        may_drop: bool = False,
    ) -> None:
        self.name = name
        self.machine = machine
        self.broker = broker
        self.random = random
        self.aside = aside
        self.apart = apart
        self.fault_rate = fault_rate
        self.late_rate = bias.late_rate
        self._bias = bias
        self.dead = False
        self.fenced = False
        """Whether the group has expelled this process, and the process does not know that yet."""
        self.is_slow = False
        """Whether this process reads the changelog slowly, although nothing fails."""
        self.broken: list[AssertionError] = []
        """Assertions that failed in threads and tasks for which perhaps no task waits any more."""
        self.tellings = Tellings(self, broker)
        self.membership = Membership()
        self.assigned: set[int] = set()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.turn = asyncio.Lock()
        self.fetched: list[tuple[int, list[RecordBatch], int]] = []
        self.fetch_position: dict[int, int] = {}
        self._loop = asyncio.get_running_loop()
        self._threads: set[Thread] = set()
        ownership, source = connect(self)
        services = ShardServices(
            topic=TOPIC,
            group=GROUP,
            profile=TALLY.identity,
            tally=TALLY,
            changelog=Changelog(self),
            tail=Tail(self),
            ownership=ownership,
            source=source,
            dead_letters=DeadLetters(self),
            vocabulary=VocabularyLimit(random.choice([4, 1000])),
            run=self.run,
            run_commit=self.run,
            run_long=self.run,
            run_close=self.run,
            run_tail=self.run_tail,
            clock=self._loop.time,
            chance=aside.random,
            windows=windows,
            dropped_sizes=ALL_SIZES if may_drop else frozenset(),
            id_span=SPAN,
        )
        policy = random.choice(_POLICIES)
        self.counts = Partitions(
            Path("/", machine), services, policy, NullObserver(), on_fatal=lambda error: on_fatal(self, error)
        )
        self.counts.changes.subscribe(self.tellings.told)
        self._queries = queries_at_once(self.counts, lambda: len(broker.source))
        self._slow_queries = slow_queries(self, OwnedHoldings(self.counts))
        self._follower_queries = slow_queries(self, FollowedHoldings(self.counts))
        self.freshness = Freshness(
            shards=self.counts.shards,
            counting=self.counts.counting,
            followers=self.counts.followers,
            check_lease=Lease(self, ownership).check,
            changelog=services.changelog,
            changes=self.counts.changes,
            clock=self._loop.time,
        )
        self._top_sizes, self._window_sizes = cycle([LEADING, 1000]), cycle(SIZES)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Assign tasks that are created in the `with` block to this process."""
        token = CURRENT.set(self)
        try:
            yield
        finally:
            CURRENT.reset(token)

    def start(self, told: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        """Run `told`, the reaction to a notice of the group, after the reactions to earlier notices."""

        async def in_turn() -> None:
            async with self.turn:
                await told()

        with self.running():
            return self._loop.create_task(in_turn())

    def die(self) -> None:
        """End the process at once; nothing more of it reaches the broker or the disk."""
        self.dead = True
        for task in self.tasks:
            task.cancel()
        self.end_threads()

    def fault(self) -> bool:
        """Return, by chance, whether the present operation fails."""
        return self.random.random() < self.fault_rate

    async def pause(self) -> None:
        """By chance let other tasks run, for a moment or for longer than any time-out."""
        if self.fault_rate and self.random.random() < 0.3:
            await asyncio.sleep(self.random.choice(PAUSES_S))

    def ask(self, word: str) -> "tuple[Answer[WordPage], int, Answer[TopWords], Answer[int | None]]":
        """Ask three questions at once.

        Returns:
            A page of all words; k; the k most frequent words, where k alternates between `LEADING` and all words; the count of `word`.

        Raises:
            NotReadyError, StoreCorruptedError: as `Queries`.
        """
        k = next(self._top_sizes)
        return (
            at_once(self._queries.list("", None, 1000, PARTIAL)),
            k,
            at_once(self._queries.top(k, exact=k > LEADING, terms=PARTIAL)),
            at_once(self._queries.get(word, PARTIAL)),
        )

    def ask_windows(self, word: str) -> list[Windowed]:
        """Ask for windows of one size at once, of each size in turn. Raise NotReadyError or StoreCorruptedError as `Queries`."""
        answers: list[Windowed] = []
        at_once(asked_windows(self._queries, word, answers.append, [next(self._window_sizes)]))
        return answers

    async def answer(self) -> None:
        """Wait as an answer of the broker may take. Raise BrokerUnavailableError by chance."""
        await self.pause()
        if self.fault():
            raise BrokerUnavailableError("no answer")

    def run(self, function: Callable[..., Any], *arguments: object) -> Awaitable[Any]:
        """Run `function` as in a thread of a pool: perhaps later, perhaps with stops, and even if no task waits for the result."""
        busy = bool(self.fault_rate) and self.random.random() < 0.2
        early, late = (self.random.choice([0, 0.01, 1.0]) for _ in range(2)) if busy else (0, 0)
        # A thread that may find a lock held must be able to wait, which only a thread that runs in pieces can.
        in_pieces = (
            self.is_slow
            or bool(self._threads)
            or (bool(self.fault_rate) and self.aside.random() < self._bias.stopping)
        )
        return self._run(function, arguments, early, late, in_pieces)

    def run_tail(self, function: Callable[..., Any], *arguments: object) -> Awaitable[Any]:
        """Run `function` as in the thread of the tail, after the time that records take to come."""
        early = self.apart.choice(TAIL_S) if self.fault_rate else 0.1
        in_pieces = bool(self.fault_rate) and self.apart.random() < 0.3
        return self._run(function, arguments, early, 0, in_pieces=in_pieces or bool(self._threads))

    def now_s(self) -> float:
        """Return the virtual time, in any thread."""
        return self._loop.time()

    def read(self, function: Callable[..., Any], *arguments: object) -> Awaitable[Any]:
        """Run `function` in a thread that stops at its breaths."""
        return self._run(function, arguments, 0, 0, in_pieces=True)

    def end_threads(self) -> None:
        """End all threads that have begun, at their last breath."""
        for thread in list(self._threads):
            thread.end()
        self._threads.clear()

    def _run(
        self,
        function: Callable[..., Any],
        arguments: tuple[object, ...],
        early: float,
        late: float,
        in_pieces: bool,
    ) -> Awaitable[Any]:
        future = self._loop.create_future()

        def deliver(result: object, error: Exception | None) -> None:
            if self.dead:
                future.cancel()
            elif not future.cancelled():
                future.set_result(result) if error is None else future.set_exception(error)

        def ended(result: object, error: Exception | None) -> None:
            if isinstance(error, AssertionError):
                self.broken.append(error)
            if late:
                self._loop.call_later(late, deliver, result, error)
            else:
                deliver(result, error)

        def execute() -> None:
            if self.dead:
                future.cancel()
            elif in_pieces or self._threads:
                # Threads that have begun since may hold a lock, for which only a thread that runs in pieces can wait.
                thread = Thread(function, arguments)
                self._threads.add(thread)
                go_on(thread)
            else:
                ended(*self._at_once(function, arguments))

        def go_on(thread: Thread) -> None:
            if self.dead:
                future.cancel()
                return
            while not thread.advance():
                pause_s = self._breath_s(thread)
                if pause_s:
                    self._loop.call_later(pause_s, go_on, thread)
                    return
            self._threads.discard(thread)
            ended(thread.result, thread.error)

        if early:
            self._loop.call_later(early, execute)
        else:
            execute()
        return future

    def _breath_s(self, thread: Thread) -> float:
        """Return how long a thread stays at its breath, in virtual seconds; 0 = the thread continues at once."""
        if thread.waits:
            return 0.01
        if self.is_slow and thread.reads:
            return self.aside.choice(SLOW_S)
        return self.aside.choice(self._bias.breaths_s) if self.fault_rate else 0.0

    def _at_once(
        self, function: Callable[..., Any], arguments: tuple[object, ...]
    ) -> tuple[object, Exception | None]:
        with off_the_loop():
            try:
                return function(*arguments), None
            except Exception as error:
                return None, error

    def slow_queries(self, *, followers: bool) -> WordQueries:
        """Return the queries that are answered while others write; `followers` = by followers."""
        return self._follower_queries if followers else self._slow_queries

    def watched(self, stall_timeout_s: float, on_fatal: Callable[[Exception], None]) -> None:
        """Start the real watchdog for this process."""
        watchdog = Watchdog(
            self.counts,
            cast("TopicOffsets", InputOffsets(self)),
            LiveMembership,
            topic=TOPIC,
            changelog="counts",
            group=GROUP,
            rights=cast("Rights", None),
            needed=[],
            stall_timeout_s=stall_timeout_s,
            obstacle=lambda: None,
            on_fatal=on_fatal,
        )
        with self.running():
            self._loop.create_task(watchdog.watch())

    # Intake

    def fetch(self, partition: int) -> str:
        """Poll some Kafka batches of a partition that may be polled; return the polled offsets, or "" if nothing was polled."""
        position = self.fetch_position.get(partition)
        source = self.broker.source[partition]
        if position is None or partition not in self.counts.choose_for_poll():
            return ""
        if position > source.end:
            with self.running():
                self.counts.examine_again(partition)
            return "out of range"
        waiting = [batch for batch in source.batches if batch.next_offset > position]
        polled = waiting[: self.random.randint(1, 4)] if self.fault_rate else waiting
        if not polled:
            return ""
        self.fetch_position[partition] = polled[-1].next_offset
        joined = joined_batches(polled, position, self.random)
        self.fetched.append((partition, joined, source.end))
        return " ".join(f"{batch.first_offset}-{batch.next_offset}" for batch in joined)

    def deliver(self) -> None:
        """Give the oldest poll to `Partitions`, which has to notice if a seek has made that poll obsolete."""
        if self.fetched:
            partition, batches, highwater = self.fetched.pop(0)
            with self.running():
                self.counts.add(partition, batches, highwater)
