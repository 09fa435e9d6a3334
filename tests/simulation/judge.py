"""The judge of a simulation: checks that stores, caches, changelogs and answers are true at any moment."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from app.reads.answers import Answer
from tables.errors import NotReadyError, StoreCorruptedError
from tables.model.positions import COUNT_AGAIN
from tables.model.rows import StoreState, unpack_row
from tables.model.windows import WindowRules
from tables.partitions.follower import Follower
from tables.partitions.served_rows import ServedRows
from tables.partitions.shard import Shard
from tests.simulation.asked_windows import Windowed, asked_windows, look_at_answer
from tests.simulation.asking import added_up, asked_slowly
from tests.simulation.broker import WORDS, Broker
from tests.simulation.disks import MemoryStore
from tests.simulation.process import LEADING, Process
from tests.simulation.source import SourcePartition
from tests.simulation.true_rows import (
    has_windows,
    is_top,
    look_at_cache,
    look_at_ids,
    look_at_windows,
    true_totals,
    word_counts,
)
from tests.simulation.wrong_error import WrongError

ASK_S = 1.0
"""How long a question for the newest counts waits, in virtual seconds."""

ASKED = WORDS[0].decode()
"""The word for whose count processes are asked."""


class Judge:
    """Compares stores, caches and changelogs with the input.

    Args:
        broker: knows the true counts.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._shown: Counter[tuple[int, str, SourcePartition]] = Counter()
        self._answered: dict[Process, list[object]] = {}
        self._checked: dict[Shard, tuple[Any, ...]] = {}
        self._followed: dict[Follower, tuple[StoreState, bool]] = {}
        self._shown_by: dict[Follower, int] = {}
        self._newest: dict[Any, int] = {}

    def look_at(self, process: Process) -> None:
        """Check stores, caches, answers and errors of a process. Raise WrongError if a promise is broken."""
        if process.broken:
            raise process.broken[0]
        for number, part in process.counts._partitions.items():
            self._look_at_shard(process, number, part.shard)
            if part.task is None and not store_of(part.shard).commits:
                process.tellings.look_at(number)
        for number, follower in process.counts.followers.followers().items():
            self._look_at_follower(process, number, follower)
        self._look_at_answers(process)
        for number, error in process.counts.errors().items():
            shared = number in self._broker.intruded and "holds counts of topic theirs" in error
            if not (shared or (self._broker.replaced and COUNT_AGAIN in error)):
                raise WrongError(
                    "a partition stops for replaced or shared topics alone",
                    f"{number} of {process.name}: {error}",
                )

    def look_at_changelogs(self) -> None:
        """Check that each changelog alone leads to the true counts, or to an error. Raise WrongError if not."""
        for number, (log, source) in enumerate(zip(self._broker.changelog, self._broker.source, strict=True)):
            true = source.counts(source.end)
            for compacted in (False, True):
                restored = log.restored(compacted=compacted)
                if restored is None:
                    break
                if restored != true:
                    raise WrongError(
                        "a changelog is enough to restore from",
                        f"{number} gives {restored}{', compacted' if compacted else ''}, true is {true}",
                    )
                if lost := log.missing_ids(compacted=compacted):
                    raise WrongError(
                        "a changelog is enough to recognise repeats",
                        f"{number}{', compacted' if compacted else ''} lacks {lost}",
                    )
                if missing := log.missing_windows(compacted=compacted):
                    raise WrongError(
                        "a changelog is enough to restore windows from",
                        f"{number}{', compacted' if compacted else ''} lacks {missing}",
                    )

    def look_at_rules(self, processes: Sequence[Process], rules: WindowRules) -> None:
        """Check that the owners count by `rules`, once they have caught up; the longest jump may wait for the end of a jump."""
        for process in processes:
            for number, shard in process.counts.shards().items():
                windows = shard.marker.windows if shard.marker is not None else None
                sizes = () if windows is None else windows.rules.sizes
                has_stopped = number in process.counts.errors()
                if self._is_owner(process, number) and not has_stopped and sizes != rules.sizes:
                    raise WrongError(
                        "rules are taken", f"partition {number} of {process.name} counts by {windows}"
                    )

    def _look_at_shard(self, process: Process, number: int, shard: Shard) -> None:
        store = store_of(shard)
        if store.disk.corrupt or not store.disk.locked or store.commits:
            return
        if process.counts.state(number)[0] == "counting" and self._is_owner(process, number):
            log = self._broker.changelog[number]
            if shard.marker is not None and shard.marker.changelog_id == log.topic_id:
                log.examined = max(log.examined, shard.store.state.examined)
        looked_at = (store.image, shard.cache, shard.readable)
        before = self._checked.get(shard, (None, None, None))
        if all(now is then for now, then in zip(looked_at, before, strict=True)):
            return
        self._checked[shard] = looked_at
        self._look_at_rows(f"partition {number} of {process.name}", number, shard)

    def _look_at_follower(self, process: Process, number: int, follower: Follower) -> None:
        """Check the rows of a follower, that its answers never go back, and that an owner on its store heals what has to be healed."""
        store = store_of(follower)
        if store.disk.corrupt or not store.disk.locked or store.commits:
            return
        if (follower.store.state, follower.readable) == self._followed.get(follower):
            return
        self._followed[follower] = follower.store.state, follower.readable
        name = f"partition {number} that {process.name} follows"
        rows = {word: unpack_row(value) for word, value in store.image.rows.items()}
        for word, (count, upto) in rows.items():
            true = self._broker.true_counts(number, word, upto)
            if count not in true and not self._broker.changelog[number].is_gone(word, upto):
                raise WrongError(
                    "a stored row is the count below its upto",
                    f"{name}: {word!r} {count} up to {upto}, true is {true}",
                )
        state = follower.store.state
        log = self._broker.changelog[number]
        if state.marker is not None and state.marker.changelog_id == log.topic_id:
            for word, (offset, upto) in log.latest().items():
                if offset < state.examined and word in rows and upto < rows[word][1]:
                    raise WrongError(
                        "a follower's store stays before records that have to be healed",
                        f"{name}: {word!r} at {offset} up to {upto}, examined up to {state.examined}, stored {rows[word]}",
                    )
        # A restore may have written what another changelog left in this one; nobody begins to follow on such a store.
        if state.exact_position is None or not follower.begun:
            return
        source = self._source_of(number, state)
        true, totals = source.counts(state.position), true_totals(source, state)
        if word_counts(rows) != true or state.totals != totals:
            raise WrongError(
                "rows are those of the position", f"{name} {state}: {rows}, true is {true}, {totals}"
            )
        look_at_ids(name, source, state, rows)
        look_at_windows(name, source, state, rows)
        if follower.readable:
            if state.position < self._shown_by.get(follower, 0):
                raise WrongError(
                    "no answer goes back", f"{name}: {state.position} after {self._shown_by[follower]}"
                )
            self._shown_by[follower] = state.position

    def _source_of(self, number: int, state: StoreState) -> SourcePartition:
        return self._broker.source_of(number, state.marker.topic_id if state.marker else "")

    async def ask_followers(self, process: Process, kind: str) -> None:
        """Ask the followers of a process while they write; check that the answer is true, and not older than what was shown before."""
        followers = process.counts.followers.followers()
        sources = {number: self._source_of(number, one.store.state) for number, one in followers.items()}
        shown = {number: self._shown_by.get(one, 0) for number, one in followers.items()}
        try:
            answer = await asked_slowly(process.slow_queries(followers=True), kind, ASKED)
        except (NotReadyError, StoreCorruptedError):
            return
        true: Counter[str] = Counter()
        for number, position in answer.as_of.items():
            if number not in sources:
                return  # The partition is followed only since the question.
            true.update({w.decode(): c for w, c in sources[number].counts(position).items()})
            if (
                position < shown[number]
                and process.counts.followers.followers().get(number) is followers[number]
            ):
                raise WrongError(
                    "no answer goes back", f"{kind} of {process.name}: {number} at {position} after {shown}"
                )
        found = {"list": lambda value: dict(value.words), "top": lambda value: dict(value.words)}.get(kind)
        if (found(answer.value) if found else answer.value) != (true if found else true.get(ASKED)):
            raise WrongError(
                "an answer is true at its as_of",
                f"{kind} of followers of {process.name}: {answer}, true is {true}",
            )

    async def ask_newest(self, processes: Sequence[Process], *, by_proof: bool) -> None:
        """Ask processes one after the other for the newest counts, and add up what they answer.

        Check that no answer is older than any that was given before it was asked for, and that the sum is true.

        Args:
            processes: some of them may believe that they own partitions which another process owns by now.
            by_proof: whether no process may answer by its lease.
        """
        numbers = range(len(self._broker.source))
        answers: list[Mapping[int, tuple[int, Counter[bytes]]]] = []
        for process in processes:
            if process.dead:
                return
            shown = dict(self._newest)
            leased = {} if by_proof else process.freshness.leased()
            proven = await process.freshness.proven(set(numbers) - leased.keys(), ASK_S)
            answer = {}
            for number, rows in {**leased, **proven}.items():
                if (found := await self._newest_of(process, number, rows)) is None:
                    continue
                key, position, counts = found
                # Of a foreign record an owner knows by proof only.
                known = shown.get(key, 0)
                if position < known and not (
                    number in leased and known <= self._broker.changelog[number].foreign_position
                ):
                    raise WrongError(
                        "no newest answer goes back",
                        f"partition {number} of {process.name}: {position} after {known}",
                    )
                self._newest[key] = max(position, self._newest.get(key, 0))
                answer[number] = position, counts
            answers.append(answer)
        total, as_of = await added_up(answers, len(numbers), WORDS[0])
        true = sum(
            self._broker.source[number].count(WORDS[0], position) for number, position in as_of.items()
        )
        if total != true and not self._broker.replaced:
            raise WrongError("the sum over partitions is true", f"{total} of {answers}, true is {true}")

    async def _newest_of(
        self, process: Process, number: int, rows: ServedRows
    ) -> tuple[Any, int, Counter[bytes]] | None:
        """Return (what is counted, position, counts) as `rows` has them; None = it does not answer."""

        def read() -> tuple[StoreState, int | None, Counter[bytes]]:
            with rows.snapshot() as view:
                return (
                    rows.stored_state(),
                    view.position,
                    Counter({w: unpack_row(row)[0] for w, row in view.rows()}),
                )

        try:
            state, position, counts = await process.read(read)
        except (NotReadyError, StoreCorruptedError):
            return None
        if position is None:
            return None
        source = self._source_of(number, state)
        if counts != source.counts(position) and not self._broker.replaced:
            raise WrongError(
                "an answer is true at its as_of",
                f"newest {number} of {process.name} at {position}: {counts}, true is {source.counts(position)}",
            )
        return (number, state.marker.changelog_id if state.marker else "", source), position, counts

    def _look_at_answers(self, process: Process) -> None:
        """Check that answers are true at their `as_of`, and that the positions of owners never go back."""
        answering: list[object] = [self._broker.group.generation, process.fenced, self._broker.source_id]
        for shard in process.counts.shards().values():
            store = store_of(shard)
            answering += [shard, store.state, store.image, store.commits, shard.cache, shard.cache.position]
        if answering == self._answered.get(process):
            return  # The same answers as before.
        self._answered[process] = answering
        try:
            words, k, tops, one = process.ask(ASKED)
        except (NotReadyError, StoreCorruptedError):
            return
        for answer, found in ((words, dict(words.value.words)), (one, one.value)):
            true = self._true(process, answer)
            if found != (true if answer is not one else true.get(ASKED)):
                raise WrongError(
                    "an answer is true at its as_of", f"{process.name}: {answer}, true is {true}"
                )
        true = self._true(process, tops)
        if not is_top(tops.value, true, k, exactly=k > LEADING):
            raise WrongError("top words are the top", f"{process.name}: {tops}, true is {true}")
        answers: list[Answer[Any]] = [words, tops, one]
        if any(has_windows(shard.store.state) for shard in process.counts.shards().values()):
            with suppress(StoreCorruptedError):
                windows = process.ask_windows(ASKED)
                sources = {number: self._source(process, number) for number in process.counts.shards()}
                for asked in windows:
                    look_at_answer(process.name, asked, sources, ASKED)
                    answers.append(asked[2])
        for answer in answers:
            for number, position in answer.as_of.items():
                if self._is_owner(process, number):
                    self._never_goes_back(f"partition {number} of {process.name}", process, number, position)

    async def ask_slowly(self, process: Process, kind: str) -> None:
        """Ask while other threads write; check that the answer is true, and not older than what was shown before the question."""
        shards = process.counts.shards()
        sources = {number: self._source(process, number) for number in shards}
        shown = {
            number: self._shown[self._counted(process, number)]
            for number in shards
            if self._is_owner(process, number)
        }
        try:
            answer = await asked_slowly(process.slow_queries(followers=False), kind, ASKED)
        except (NotReadyError, StoreCorruptedError):
            return
        true: Counter[str] = Counter()
        for number, position in answer.as_of.items():
            true.update({w.decode(): c for w, c in sources[number].counts(position).items()})
            if position < shown.get(number, 0):
                raise WrongError(
                    "no answer goes back", f"{kind} of {process.name}: {number} at {position} after {shown}"
                )
        found = {"list": lambda value: dict(value.words), "top": lambda value: dict(value.words)}.get(kind)
        if (found(answer.value) if found else answer.value) != (true if found else true.get(ASKED)):
            raise WrongError(
                "an answer is true at its as_of", f"{kind} of {process.name}: {answer}, true is {true}"
            )

    async def ask_windows(self, process: Process, *, followers: bool) -> None:
        """Ask for windows while other threads write; check that the answers are true."""
        parts: Mapping[int, Shard | Follower] = process.counts.shards()
        if followers:
            parts = process.counts.followers.followers()
        sources = {number: self._source_of(number, part.store.state) for number, part in parts.items()}

        def look_at(asked: Windowed) -> None:
            if asked[2].as_of.keys() <= sources.keys():
                look_at_answer(f"{process.name}, slowly", asked, sources, ASKED)

        with suppress(NotReadyError, StoreCorruptedError):
            await asked_windows(process.slow_queries(followers=followers), ASKED, look_at)

    def _true(self, process: Process, answer: Answer[Any]) -> Counter[str]:
        true: Counter[str] = Counter()
        for number, position in answer.as_of.items():
            counts = self._source(process, number).counts(position)
            true.update({word.decode(): count for word, count in counts.items()})
        return true

    def _never_goes_back(self, name: str, process: Process, number: int, position: int) -> None:
        counted = self._counted(process, number)
        if position < self._shown[counted]:
            raise WrongError("no answer goes back", f"{name}: {position} after {self._shown[counted]}")
        self._shown[counted] = position

    def _counted(self, process: Process, number: int) -> tuple[int, str, SourcePartition]:
        """Return what a shown position belongs to. A recreated changelog counts the input again, from lower positions."""
        marker = process.counts.shards()[number].marker
        return number, marker.changelog_id if marker else "", self._source(process, number)

    def _is_owner(self, process: Process, number: int) -> bool:
        return self._broker.group.owners.get(number) == process.name and not process.fenced

    def _source(self, process: Process, number: int) -> SourcePartition:
        """Return the input partition that a shard counts, perhaps one of a deleted topic."""
        marker = process.counts.shards()[number].marker
        return self._broker.source_of(number, marker.topic_id if marker else "")

    def _look_at_rows(self, name: str, number: int, shard: Shard) -> None:
        rows = {word: unpack_row(value) for word, value in store_of(shard).image.rows.items()}
        for word, (count, upto) in rows.items():
            true = self._broker.true_counts(number, word, upto)
            if count not in true and not self._broker.changelog[number].is_gone(word, upto):
                raise WrongError(
                    "a stored row is the count below its upto",
                    f"{name}: {word!r} {count} up to {upto}, true is {true}",
                )
        counts = word_counts(rows)
        look_at_cache(name, shard, counts)
        if shard.readable:
            source = self._broker.source_of(number, shard.marker.topic_id if shard.marker else "")
            true, totals = source.counts(shard.position), true_totals(source, shard.store.state)
            if counts != true:
                raise WrongError(
                    "rows are those of the position", f"{name} {shard.position}: {counts}, true is {true}"
                )
            if shard.store.state.totals != totals:
                raise WrongError(
                    "each record is accounted for once",
                    f"{name} at {shard.position}: {shard.store.state.totals}, true is {totals}",
                )
            look_at_ids(f"{name} at {shard.position}", source, shard.store.state, rows)
            look_at_windows(f"{name} at {shard.position}", source, shard.store.state, rows)


def store_of(part: Shard | Follower) -> MemoryStore:
    store: Any = part.store
    assert isinstance(store, MemoryStore)
    return store
