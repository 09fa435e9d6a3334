"""The search for the most frequent words over all parties, of all records or of windows: in one or two round trips (ADR 13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, TypeVar

from msgspec.structs import replace as replace_struct

from app.reads.answers import Terms
from app.reads.parties import Found, Parties
from app.reads.pool import too_slow
from app.reads.questions import LeadersAsked, Told
from app.reads.together import all_of
from tables.errors import OverloadedError, QueryTimeoutError
from tables.top.listings import Listing, decided, least_telling, look_ups
from tables.top.top_words import TopWords

_ROUNDS: Final = 2
"""Most times that missing counts of top words are asked for."""

_MOST_LOOK_UPS: Final = 20_000

_MOST_PROOFS: Final = 8
"""Most questions that wait for, or are in, the search among all words that may be among the first."""

Value = TypeVar("Value")


class TopSearch:
    """Finds the most frequent words of all partitions.

    Args:
        parties: asks this process and the other workers.
    """

    def __init__(self, parties: Parties) -> None:
        self._parties = parties
        self._proving = asyncio.Lock()
        self._proving_waits = 0

    async def top(self, question: LeadersAsked, terms: Terms, end_s: float) -> tuple[Found, TopWords]:
        """Return what all parties tell to `question`, and the most frequent words by that.

        Args:
            question: how many words are wanted, of what, and whether all rows may be read; for any partitions.
            terms: what the asker demands.
            end_s: end of the time by `time.monotonic`.

        Raises:
            QueryTimeoutError: the time is over, or the words are not proven although `question.exact` demands it.
        """
        k, exact = question.k, question.exact
        if self._parties.are_alone:
            found = await self._leaders(question, terms, end_s)
            if len(found.told) <= 1:
                return found, _top_of(found, k)
            # Partitions were told one after the other, or another worker came: lists of exactly `k` words prove little together.
        question = replace_struct(question, exact=False, needed=k)
        while True:
            found, top = await self._searched(question, terms, end_s)
            if exact and not top.exact and found.told:
                least = least_telling(_listings(found), k)
                found, top = await self._proven(replace_struct(question, needed=0, least=least), terms, end_s)
            if top.exact or len(top.words) == k:
                if exact and not top.exact and (terms.allow_partial or found.is_whole):
                    raise _not_proven()
                return found, top
            # A party no longer had its partitions when counts were asked for.
            if monotonic() > end_s:
                raise too_slow()

    async def _proven(self, question: LeadersAsked, terms: Terms, end_s: float) -> tuple[Found, TopWords]:
        """Search among all words that a party counts at least `question.least` times; one such search at a time, for its memory."""
        if self._proving_waits >= _MOST_PROOFS:
            raise OverloadedError(f"{self._proving_waits} questions with exact=true wait", "ask again later")
        self._proving_waits += 1
        try:
            async with asyncio.timeout(max(0.0, end_s - monotonic())), self._proving:
                return await self._searched(question, terms, end_s)
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
                question,
                partitions=numbers,
                max_lag_records=terms.max_lag_records,
                is_patient=terms.is_patient,
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
            question,
            partitions=sorted(told.as_of),
            max_lag_records=terms.max_lag_records,
            is_patient=terms.is_patient,
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
