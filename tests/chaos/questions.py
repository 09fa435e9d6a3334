"""Random questions of every kind about the words of `tests.chaos.load`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.chaos.load import Told
from tests.chaos.replies import CSV, NDJSON, Question

STORE = "word-count"
"""The store of a Kafka Streams word count, whose shapes workers answer in below `/state`."""

MOST_WAIT_MS = 2000
CHEAP_SHARE = 6
"""How many times more often each cheap question is asked than each one that reads a thousand words and more."""

RANGE_WORDS = 1500
"""Most words of the vocabulary in a range: one page of a worker, and half of another."""


class Questions:
    """Random questions.

    Args:
        chance: chooses.
        vocabulary: number of words that are counted from the start.
        told: records that the load was told of; questions of its own writes are about them.
        batches: whether workers take many words at once.
        exact_k: how many of the most frequent words are asked for where the answer has to be exact; () = none has to.
    """

    def __init__(
        self,
        chance: random.Random,
        vocabulary: int,
        told: Sequence[Told],
        *,
        batches: bool,
        exact_k: Sequence[int],
    ) -> None:
        self._chance = chance
        self._vocabulary = vocabulary
        self._told = told
        self._exact_k = exact_k
        cheap: list[Callable[[], Question]] = [
            self._word,
            self._absent,
            self._page,
            self._page,
            lambda: Question("top 10", "/v1/top", {"k": 10}),
            lambda: Question("stats", "/v1/stats", {}),
            self._own_write,
            self._key_value,
            *([self._batch] if batches else []),
        ]
        costly: list[Callable[[], Question]] = [
            lambda: Question("top 100", "/v1/top", {"k": 100}),
            *([self._exact_top] if exact_k else []),
            lambda: self._dump("NDJSON dump", NDJSON),
            lambda: self._dump("CSV dump", CSV),
            self._range,
        ]
        self._kinds = cheap * CHEAP_SHARE + costly

    def next(self) -> Question:
        """Return a random question."""
        return self._chance.choice(self._kinds)()

    def _any_word(self) -> str:
        if self._chance.random() < 0.4:
            return f"w{self._chance.randrange(1, 40)}"
        return self._word_of_vocabulary()

    def _word_of_vocabulary(self) -> str:
        return f"v{self._chance.randrange(self._vocabulary):06d}"

    def _rare_word(self) -> str:
        return self._chance.choice(["never", "n"]) + f"{self._chance.randrange(1_000_000):06d}"

    def _word(self) -> Question:
        return _about("word", self._any_word())

    def _absent(self) -> Question:
        return _about("absent word", self._rare_word())

    def _own_write(self) -> Question:
        if not self._told:
            return self._word()
        partition, offset, word = self._chance.choice(self._told)
        wait_ms = self._chance.choice([0, 200, MOST_WAIT_MS])
        parameters = {"after": f"{partition}:{offset}", "wait_ms": wait_ms}
        return Question("own write", f"/v1/words/{word}", parameters, [word], covers={partition: offset})

    def _batch(self) -> Question:
        words = [self._chance.choice([self._any_word, self._rare_word])() for _ in range(20)]
        return Question("batch", "/v1/words:batch", {}, words)

    def _page(self) -> Question:
        prefix = self._chance.choice(
            ["", "v", "w", "w1", "n", "n0", f"v{self._chance.randrange(1000):03d}", "x"]
        )
        return Question("page", "/v1/words", {"prefix": prefix, "limit": self._chance.choice([10, 100])})

    def _exact_top(self) -> Question:
        return Question("exact top", "/v1/top", {"k": self._chance.choice(self._exact_k), "exact": "true"})

    def _dump(self, kind: str, accept: str) -> Question:
        word = self._word_of_vocabulary()
        # 10,000 words of the vocabulary begin with three equal characters, 1,000 with four.
        prefixes = [word[:3], *4 * [word[:4]], *2 * [word[:5]], "w", "w1", "n1", "n12", "x"]
        prefix = self._chance.choice(prefixes)
        return Question(kind, "/v1/words", {"prefix": prefix}, accept=accept)

    def _key_value(self) -> Question:
        word = self._chance.choice([self._any_word, self._rare_word])()
        return Question("key value", f"/state/keyvalue/{STORE}/{word}", {}, [word])

    def _range(self) -> Question:
        first = self._chance.randrange(self._vocabulary)
        last = min(first + self._chance.randrange(RANGE_WORDS), self._vocabulary - 1)
        words = [f"v{first:06d}", f"v{last:06d}"]
        return Question("range", f"/state/keyvalues/{STORE}/range/{words[0]}/{words[1]}", {}, words)


def _about(kind: str, word: str) -> Question:
    return Question(kind, f"/v1/words/{word}", {}, [word])
