"""Ids of words and the cache of old counts."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from tables.rows import pack_row
from tables.vocabulary import CountCache, Vocabulary, VocabularyLimit


class Store:
    """Rows, and the words that were asked for."""

    def __init__(self, **counts: int) -> None:
        self.counts = {word.encode(): count for word, count in counts.items()}
        self.asked: list[bytes] = []

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        self.asked += words
        return [pack_row(self.counts[word], 9) if word in self.counts else None for word in words]


def old_counts(cache: CountCache, store: Store, *words: bytes) -> list[int]:
    counts: list[int] = cache.old_counts(words, cache.vocabulary.ids(words), store).tolist()  # type: ignore[arg-type]
    return counts


def test_ids_are_dense_and_stay() -> None:
    vocabulary = Vocabulary()
    assert vocabulary.ids([b"a", b"b"]).tolist() == [0, 1]
    assert vocabulary.ids([b"c", b"b"]).tolist() == [2, 1]
    assert (vocabulary.words, len(vocabulary)) == ([b"a", b"b", b"c"], 3)
    assert (vocabulary.id_of(b"c"), vocabulary.id_of(b"d")) == (2, None)
    assert vocabulary.ids([]).tolist() == []


def test_threads_agree_on_ids() -> None:
    vocabulary = Vocabulary()
    words = [b"%d" % i for i in range(20_000)]
    found: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda part=part: found.append(vocabulary.ids(part).tolist()))
        for part in (words, words[::-1], words[5000:] + words[:5000])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(vocabulary) == len(set(vocabulary.words)) == len(words)
    assert all(sorted(ids) == list(range(len(words))) for ids in found)
    assert [vocabulary.words[i] for i in vocabulary.ids(words)] == words


def test_a_vocabulary_that_has_grown_too_large_is_followed_by_another() -> None:
    limit = VocabularyLimit(2)
    first = limit.current()
    first.ids([b"a", b"b"])
    assert limit.current() is first
    first.ids([b"c"])
    second = limit.current()
    assert second is not first
    assert (len(second), limit.current()) == (0, second)
    assert first.words == [b"a", b"b", b"c"]


def test_a_complete_cache_reads_nothing() -> None:
    cache, store = CountCache(Vocabulary(), complete=True), Store(a=5)
    assert old_counts(cache, store, b"a", b"b") == [0, 0]
    cache.update(cache.vocabulary.ids([b"b"]), np.array([3], np.int64), 9)
    assert old_counts(cache, store, b"a", b"b") == [0, 3]
    assert store.asked == []


def test_an_incomplete_cache_reads_what_it_does_not_know() -> None:
    cache, store = CountCache(Vocabulary(), complete=False), Store(a=5, b=1)
    cache.update(cache.vocabulary.ids([b"b"]), np.array([3], np.int64), 9)
    assert old_counts(cache, store, b"a", b"b", b"c") == [5, 3, 0]
    assert store.asked == [b"a", b"c"]


def test_old_counts_are_not_taken_for_committed_ones() -> None:
    cache, store = CountCache(Vocabulary(), complete=False), Store(a=5)
    assert old_counts(cache, store, b"a") == [5]
    store.counts[b"a"] = 6
    assert old_counts(cache, store, b"a") == [6]


def test_a_cache_grows_with_its_vocabulary() -> None:
    vocabulary = Vocabulary()
    cache, other = CountCache(vocabulary, complete=True), CountCache(vocabulary, complete=True)
    words = [b"%d" % i for i in range(5000)]
    ids = vocabulary.ids(words)
    cache.update(ids, np.arange(5000) + 1, 9)
    assert old_counts(cache, Store(), *words) == list(range(1, 5001))
    assert old_counts(other, Store(), *words) == [0] * 5000


def test_sums_take_what_is_known_and_tell_the_position() -> None:
    vocabulary = Vocabulary()
    cache = CountCache(vocabulary, complete=True)
    cache.learn([b"a", b"c"], np.array([5, 2]), 9)
    vocabulary.ids([b"%d" % i for i in range(3000)])
    sums = np.full(len(vocabulary), 10, np.int64)
    assert cache.add_to(sums) == 9
    assert sums[:4].tolist() == [15, 12, 10, 10]
    few = np.zeros(1, np.int64)
    assert (cache.add_to(few), few.tolist()) == (9, [5])


@pytest.mark.parametrize("complete", [True, False])
def test_a_cache_begins_at_no_position(complete: bool) -> None:
    cache = CountCache(Vocabulary(), complete=complete)
    assert (cache.position, cache.add_to(np.zeros(3, np.int64))) == (0, 0)
