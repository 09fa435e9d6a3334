"""The answers of a simulated process: the real queries, answered at once or in threads that stop at their breaths."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from agents.source.group_map import GroupMap, Member
from app.reads.answers import Answer, Terms
from app.reads.holdings import Held, Holdings
from app.reads.parties import Parties
from app.reads.peers import PeerError
from app.reads.pool import Budget
from app.reads.queries import WordQueries
from app.reads.questions import CountsAsked, Question, Told, WorkerStatus
from app.reads.store_reads import StoreReads
from app.reads.sums import Rows
from app.reads.top_query import gathered
from tables.partitions.partitions import Partitions
from tests.fakes.parties import OwnedHoldings, queries_alone

if TYPE_CHECKING:
    from tests.simulation.process import Process


PARTIAL = Terms(allow_partial=True)

_ONE_ROUND_S = 0.05
"""Time of a question in which nobody is asked twice: the time of queries is real, and that of the simulation is not."""


class StoresAtOnce(StoreReads):
    """The real reads, answered at once in the simulation's only thread."""

    async def _ask(self, pool: object, key: object, answer: Callable[[Budget], Any], end_s: float = 0) -> Any:
        with self._corruption_reported(), off_the_loop():
            return answer(Budget(math.inf))

    async def without_leaders(self, rows: Rows, until_s: float) -> Collection[int]:
        await self._ask(self._passes, (), partial(gathered, rows))
        return ()


class SlowStores(StoreReads):
    """The real reads, answered in threads that stop at their breaths."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.counts.changes, process.counts.rebuild_corrupted, math.inf)
        self._process = process

    async def _ask(self, pool: object, key: object, answer: Callable[[Budget], Any], end_s: float = 0) -> Any:
        with self._corruption_reported():
            return await self._process.read(answer, Budget(math.inf))

    async def without_leaders(self, rows: Rows, until_s: float) -> Collection[int]:
        await self._ask(self._passes, (), partial(gathered, rows))
        return ()


def queries_at_once(partitions: Partitions, partition_count: Callable[[], int]) -> WordQueries:
    """Return the real queries of one process, answered at once."""
    stores = StoresAtOnce(partitions.changes, partitions.rebuild_corrupted, math.inf)
    return queries_alone(OwnedHoldings(partitions), stores, partition_count, timeout_s=_ONE_ROUND_S)


def slow_queries(process: Process, holdings: Holdings) -> WordQueries:
    """Return the real queries over what a process has, answered in threads that stop at their breaths."""
    partitions = process.broker.source
    return queries_alone(holdings, SlowStores(process), lambda: len(partitions), timeout_s=_ONE_ROUND_S)


async def asked_slowly(queries: WordQueries, kind: str, word: str) -> Answer[Any]:
    """Ask for all words ("list"), the most frequent words ("top") or `word` ("get") while others write."""
    match kind:
        case "list":
            return await queries.list("", None, 1000, PARTIAL)
        case "top":
            return await queries.top(1000, exact=True, terms=PARTIAL)
        case _:
            return await queries.get(word, PARTIAL)


class FollowedHoldings(OwnedHoldings):
    """All followers of a process that can answer, however old their rows are."""

    def asked(self) -> None:
        """Nothing here pauses for a question."""

    async def held(self, numbers: Collection[int], max_lag_records: int | None, end_s: float) -> Held:
        held = Held()
        for number, one in self._partitions.followers.followers().items():
            if one.readable:
                held.add(number, one.served, "standby")
        return held


class RecordedAnswers:
    """Other workers, each of which has given an answer: (position, counts) by partition."""

    def __init__(self, answers: Sequence[Mapping[int, tuple[int, Counter[bytes]]]]) -> None:
        self._answers = {f"p{place}": answer for place, answer in enumerate(answers)}
        members = [Member("asker", [])]
        members += [Member(url, [*answer]) for url, answer in self._answers.items()]
        self.map = GroupMap("input", 1, members, 0)

    def is_suspect(self, url: str) -> bool:
        return False

    async def status(self, url: str, timeout_s: float) -> WorkerStatus:
        raise PeerError("nobody asks for it")

    async def ask(self, url: str, question: Question, timeout_s: float) -> Told[Any]:
        assert isinstance(question, CountsAsked)
        found = {n: one for n, one in self._answers[url].items() if n in question.partitions}
        total = sum(counts[question.words[0]] for _, counts in found.values())
        as_of = {number: position for number, (position, _) in found.items()}
        refused = {number: "not here" for number in question.partitions if number not in found}
        return Told([total], as_of, dict.fromkeys(as_of, "active"), {}, refused)


async def added_up(
    answers: Sequence[Mapping[int, tuple[int, Counter[bytes]]]], partitions: int, word: bytes
) -> tuple[int, Mapping[int, int]]:
    """Return the count of `word`, and its positions, as a worker adds up what others have answered."""
    workers = RecordedAnswers(answers)
    nothing: Any = SimpleNamespace(owned=tuple, followed=tuple)
    parties = Parties(nothing, lambda: partitions, lambda: workers.map, workers)
    found = await parties.gather(
        lambda numbers: CountsAsked(partitions=numbers, words=[word]),
        PARTIAL,
        asyncio.get_running_loop().time(),
    )
    return sum(told.value[0] for told in found.told), found.as_of


@contextmanager
def off_the_loop() -> Iterator[None]:
    """Hide the running event loop, as in a thread, from functions that refuse to run on an event loop."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that waits for nothing, though it may yield to other tasks."""
    try:
        while True:
            turn = coroutine.send(None)
            assert turn is None, "it waits for something"
    except StopIteration as end:
        return end.value
