"""Queries over all partitions of the input topic, whichever workers have them: an answer is whole, or it is an error.

`app.reads.parties` asks the workers. This module makes their questions, merges what they tell, and judges whether an answer keeps the
terms of the asker.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Final, TypeVar

from msgspec.structs import replace as replace_struct

from app.reads.answers import (
    WHOLE,
    Answer,
    Assignments,
    IncompleteError,
    NotCountedYetError,
    PartitionStatus,
    Stats,
    Terms,
    WordPage,
)
from app.reads.parties import Asks, Found, Parties, all_of, united
from app.reads.pool import too_slow
from app.reads.progress import Progress
from app.reads.questions import (
    CountsAsked,
    LeadersAsked,
    PageAsked,
    Told,
    TotalsAsked,
)
from tables.errors import BadRequestError, NotReadyError, OverloadedError, QueryTimeoutError
from tables.model.tally import Totals
from tables.top.listings import Listing, decided, least_telling, look_ups
from tables.top.top_words import TopWords

TIMEOUT_S: Final = 1.0

_ROUNDS: Final = 2
"""Most times that missing counts of top words are asked for."""

_MOST_LOOK_UPS: Final = 20_000

_MOST_PROOFS: Final = 8
"""Most questions that wait for, or are in, the search among all words that may be among the first."""

Value = TypeVar("Value")


class WordQueries:
    """Implements `app.reads.answers.Queries`.

    Args:
        parties: asks this process and the other workers.
        timeout_s: the longest time that a question may take.
    """

    def __init__(self, parties: Parties, timeout_s: float = TIMEOUT_S) -> None:
        self._parties = parties
        self._timeout_s = timeout_s
        self._progress = Progress(parties, timeout_s)
        self._proving = asyncio.Lock()
        self._proving_waits = 0

    async def get(self, word: str, terms: Terms = WHOLE) -> Answer[int | None]:
        """See `Queries.get`."""
        answer = await self.counts_of([word], terms)
        return _with(answer, answer.value[0] or None)

    async def counts_of(self, words: Sequence[str], terms: Terms = WHOLE) -> Answer[Sequence[int]]:
        """See `Queries.counts_of`."""
        keys = [word.encode() for word in words]
        return await self._answer(
            lambda numbers: CountsAsked(
                partitions=numbers, max_lag_records=terms.max_lag_records, words=keys
            ),
            lambda told: (
                [sum(counts) for counts in zip(*(one.value for one in told), strict=True)] or [0] * len(keys)
            ),
            terms,
        )

    async def list(
        self, prefix: str, after: str | None, limit: int, terms: Terms = WHOLE
    ) -> Answer[WordPage]:
        """See `Queries.list`."""
        start = b"" if after is None else after.encode() + b"\x00"

        def merged(told: Sequence[Told[Any]]) -> WordPage:
            # A word that is among the first of all is among the first of each party that has the word.
            sums: dict[bytes, int] = {}
            for one in told:
                for word, count in one.value:
                    sums[word] = sums.get(word, 0) + count
            words = heapq.nsmallest(limit + 1, sums.items())
            return WordPage([(word.decode(), count) for word, count in words[:limit]], len(words) > limit)

        return await self._answer(
            lambda numbers: PageAsked(
                partitions=numbers,
                max_lag_records=terms.max_lag_records,
                prefix=prefix.encode(),
                start=start,
                limit=limit + 1,
            ),
            merged,
            terms,
        )

    async def top(self, k: int, *, exact: bool = False, terms: Terms = WHOLE) -> Answer[TopWords]:
        """See `Queries.top`. Over several parties, missing counts are asked for with new lists, each of one moment."""
        await self._await_counted(terms)
        end_s = monotonic() + self._timeout_s
        if self._parties.are_alone:
            found = await self._leaders(LeadersAsked(partitions=(), k=k, exact=exact), terms, end_s)
            if len(found.told) <= 1:
                return self._judged(found, _top_of(found, k), terms)
            # Partitions were told one after the other, or another worker came: lists of exactly `k` words prove little together.
        while True:
            found, top = await self._searched(LeadersAsked(partitions=(), k=k, needed=k), terms, end_s)
            if exact and not top.exact and found.told:
                found, top = await self._proven(least_telling(_listings(found), k), k, terms, end_s)
            if top.exact or len(top.words) == k:
                answer = self._judged(found, top, terms)
                if exact and not top.exact:
                    raise _not_proven()
                return answer
            # A party no longer had its partitions when counts were asked for.
            if monotonic() > end_s:
                raise too_slow()

    async def stats(self, terms: Terms = WHOLE) -> Answer[Stats]:
        """See `Queries.stats`."""
        return await self._answer(
            lambda numbers: TotalsAsked(partitions=numbers, max_lag_records=terms.max_lag_records),
            lambda told: Stats(
                sum((one.value.totals for one in told), Totals()),
                united(one.value.partitions for one in told),
            ),
            terms,
        )

    async def assignments(self) -> Assignments:
        """See `Queries.assignments`."""
        return await self._parties.assignments(self._timeout_s / 2)

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """See `Queries.partitions`."""
        return self._parties.local.partitions()

    async def _answer(
        self, asks: Asks, merged: Callable[[Sequence[Told[Any]]], Value], terms: Terms
    ) -> Answer[Value]:
        await self._await_counted(terms)
        found = await self._parties.gather(asks, terms, monotonic() + self._timeout_s)
        return self._judged(found, merged(found.told), terms)

    def _judged(self, found: Found, value: Value, terms: Terms) -> Answer[Value]:
        """Return `value` as an answer if it keeps `terms`."""
        as_of = found.as_of
        if found.reasons and not terms.allow_partial:
            raise IncompleteError(found.reasons)
        if not found.is_whole and not terms.allow_partial:
            raise NotReadyError("it is not known yet how many partitions there are", "ask again")
        if any(as_of.get(number, 0) <= offset for number, offset in terms.after.items()):
            raise NotCountedYetError(terms.after, as_of)
        return Answer(
            value,
            dict(sorted(as_of.items())),
            found.is_whole,
            found.reasons,
            united(told.served_by for told in found.told),
            united(told.behind for told in found.told),
        )

    async def _await_counted(self, terms: Terms) -> None:
        """Wait until the records in `terms.after` are counted, or until the asker would wait no longer."""
        if not terms.after:
            return
        count = self._parties.partition_count()
        if count is not None and (unknown := [number for number in terms.after if number >= count]):
            raise BadRequestError(
                f"there is no partition {unknown[0]}", f"the input topic has the partitions 0 to {count - 1}"
            )
        await self._progress.reached(terms.after, terms.max_lag_records, monotonic() + terms.wait_s)

    async def _proven(self, least: int, k: int, terms: Terms, end_s: float) -> tuple[Found, TopWords]:
        """Search among all words that a party counts at least `least` times; one such search at a time, because of its memory."""
        if self._proving_waits >= _MOST_PROOFS:
            raise OverloadedError(f"{self._proving_waits} questions with exact=true wait", "ask again later")
        self._proving_waits += 1
        try:
            async with asyncio.timeout(max(0.0, end_s - monotonic())), self._proving:
                return await self._searched(LeadersAsked(partitions=(), k=k, least=least), terms, end_s)
        except TimeoutError:
            raise too_slow() from None
        finally:
            self._proving_waits -= 1

    async def _searched(self, question: LeadersAsked, terms: Terms, end_s: float) -> tuple[Found, TopWords]:
        """Return what all parties tell to `question`, with the counts that were missing, and the most frequent words by that."""
        found = await self._leaders(question, terms, end_s)
        for _ in range(_ROUNDS):
            wanted = await _computed(question, look_ups, found, question.k, _MOST_LOOK_UPS)
            missing = [place for place, words in enumerate(wanted) if words]
            if not missing:
                break
            again = await all_of(
                [
                    self._look_up(found, place, replace_struct(question, also=wanted[place]), terms, end_s)
                    for place in missing
                ]
            )
            for place, told in zip(missing, again, strict=True):
                found.told[place] = told
        if question.least:
            return found, await _computed(question, decided, found, question.k)
        return found, _top_of(found, question.k)

    async def _leaders(self, question: LeadersAsked, terms: Terms, end_s: float) -> Found:
        """Return lists of frequent words of all parties; `question` says which lists, for any partitions."""
        return await self._parties.gather(
            lambda numbers: replace_struct(
                question, partitions=numbers, max_lag_records=terms.max_lag_records
            ),
            terms,
            end_s,
        )

    async def _look_up(
        self, found: Found, place: int, question: LeadersAsked, terms: Terms, end_s: float
    ) -> Told[Any]:
        """Return a new list of a party by `question`; what the party has told before if it does not tell of all its partitions."""
        told = found.told[place]
        question = replace_struct(
            question, partitions=sorted(told.as_of), max_lag_records=terms.max_lag_records
        )
        again = await self._parties.ask(found.parties[place], question, end_s)
        return again if again.as_of.keys() == told.as_of.keys() else told


async def _computed(
    question: LeadersAsked, function: Callable[..., Value], found: Found, *arguments: int
) -> Value:
    """Return `function` of the lists in `found`; computed in a thread if the lists may be long."""

    def compute() -> Value:
        return function(_listings(found), *arguments)

    return await asyncio.to_thread(compute) if question.least else compute()


def _listings(found: Found) -> Sequence[Listing]:
    return [Listing(dict(told.value.words), told.value.bound) for told in found.told]


def _top_of(found: Found, k: int) -> TopWords:
    """Return the most frequent words by the lists that parties have told."""
    if len(found.told) == 1 and found.told[0].value.exact:
        leading = found.told[0].value
        return TopWords([(word.decode(), count) for word, count in leading.words[:k]])
    return decided(_listings(found), k)


def _not_proven() -> QueryTimeoutError:
    return QueryTimeoutError(
        "which words are the most frequent cannot be proven over several workers in the time of a query",
        "ask without exact=true: the answer then says its max_error",
    )


def _with(answer: Answer[Any], value: Value) -> Answer[Value]:
    return replace(answer, value=value)
