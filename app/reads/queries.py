"""Queries over all partitions of the input topic, whichever workers have them: an answer is whole, or it is an error.

`app.reads.parties` asks the workers. This module makes their questions, merges what they tell, and judges whether an answer keeps the
terms of the asker.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from app.reads.answers import (
    WHOLE,
    Answer,
    Assignments,
    PartitionStatus,
    Stats,
    Terms,
    WordPage,
)
from app.reads.judge import Judge
from app.reads.parties import Parties
from app.reads.questions import (
    CountsAsked,
    LeadersAsked,
    PageAsked,
    Told,
    TotalsAsked,
)
from app.reads.together import united
from app.reads.top_search import TopSearch
from app.reads.window_queries import WindowQueries
from tables.model.tally import Totals
from tables.top.top_words import TopWords

TIMEOUT_S: Final = 1.0

Value = TypeVar("Value")


class WordQueries:
    """Implements `app.reads.answers.Queries`.

    Args:
        parties: asks this process and the other workers.
        timeout_s: the longest time that a question may take.

    Attributes:
        windows: answers questions about windows.
    """

    def __init__(self, parties: Parties, timeout_s: float = TIMEOUT_S) -> None:
        self._parties = parties
        self._timeout_s = timeout_s
        self._judge = Judge(parties, timeout_s)
        self._search = TopSearch(parties)
        self.windows = WindowQueries(parties, self._judge, self._search)

    async def get(self, word: str, terms: Terms = WHOLE) -> Answer[int | None]:
        """See `Queries.get`."""
        answer = await self.counts_of([word], terms)
        return _with(answer, answer.value[0] or None)

    async def counts_of(self, words: Sequence[str], terms: Terms = WHOLE) -> Answer[Sequence[int]]:
        """See `Queries.counts_of`."""
        keys = [word.encode() for word in words]
        return await self._judge.answer(
            lambda numbers: CountsAsked(
                partitions=numbers,
                max_lag_records=terms.max_lag_records,
                is_patient=terms.is_patient,
                words=keys,
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

        return await self._judge.answer(
            lambda numbers: PageAsked(
                partitions=numbers,
                max_lag_records=terms.max_lag_records,
                is_patient=terms.is_patient,
                prefix=prefix.encode(),
                start=start,
                limit=limit + 1,
            ),
            merged,
            terms,
        )

    async def top(self, k: int, *, exact: bool = False, terms: Terms = WHOLE) -> Answer[TopWords]:
        """See `Queries.top`."""
        await self._judge.await_counted(terms)
        question = LeadersAsked(partitions=(), k=k, exact=exact)
        found, top = await self._search.top(question, terms, self._judge.end_s())
        return self._judge.judged(found, top, terms)

    async def stats(self, terms: Terms = WHOLE) -> Answer[Stats]:
        """See `Queries.stats`."""
        return await self._judge.answer(
            lambda numbers: TotalsAsked(
                partitions=numbers, max_lag_records=terms.max_lag_records, is_patient=terms.is_patient
            ),
            lambda told: Stats(
                sum((one.value.totals for one in told), Totals()),
                united(one.value.partitions for one in told),
                united(one.value.windows for one in told),
            ),
            terms,
        )

    async def assignments(self) -> Assignments:
        """See `Queries.assignments`."""
        return await self._parties.assignments(self._timeout_s / 2)

    def partitions(self) -> Mapping[int, PartitionStatus]:
        """See `Queries.partitions`."""
        return self._parties.local.partitions()


def _with(answer: Answer[Any], value: Value) -> Answer[Value]:
    return replace(answer, value=value)
