"""Ids of words and the cache of old counts."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rocksdict import Cache

from tables.cache.counts import CountCache, cache_of
from tables.cache.vocabulary import REFUSALS_PER_WORD, Vocabulary, VocabularyLimit
from tables.cache.word_table import NO_ID
from tables.model.rows import StoreState
from tables.pace.memory import DEFAULT_BYTES, memory_bounds
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row


class Store:
    """Rows, and the words that were asked for."""

    def __init__(self, **counts: int) -> None:
        self.counts = {word.encode(): count for word, count in counts.items()}
        self.asked: list[bytes] = []

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        self.asked += words
        return [pack_row(self.counts[word], 9) if word in self.counts else None for word in words]


LONG = b"longer than fifteen bytes"


def column(words: Sequence[bytes]) -> pa.BinaryArray:
    return pa.array(words, pa.binary())


def ids_of(vocabulary: Vocabulary, *words: bytes) -> list[int]:
    found: list[int] = vocabulary.ids(column(words)).tolist()
    return found


def words_in(vocabulary: Vocabulary) -> list[bytes]:
    return vocabulary.words_of(np.arange(len(vocabulary)))


def old_counts(cache: CountCache, store: Store, *words: bytes) -> list[int]:
    ids = cache.vocabulary.ids(column(words))
    counts: list[int] = cache.old_counts(column(words), ids, store).tolist()  # type: ignore[arg-type]
    return counts


def test_ids_are_dense_and_stay() -> None:
    vocabulary = Vocabulary(100_000)
    assert ids_of(vocabulary, b"a", LONG, b"b") == [0, 1, 2]
    assert ids_of(vocabulary, LONG + b"!", b"c", b"b", LONG) == [3, 4, 2, 1]
    assert words_in(vocabulary) == [b"a", LONG, b"b", LONG + b"!", b"c"]
    assert vocabulary.words_of(np.array([3, 2])) == [LONG + b"!", b"b"]
    assert [vocabulary.id_of(word) for word in (b"c", LONG, b"d", LONG + b"?")] == [4, 1, None, None]
    assert ids_of(vocabulary) == []


def test_threads_agree_on_ids() -> None:
    vocabulary = Vocabulary(100_000)
    words = [b"%d" % i for i in range(20_000)] + [LONG + b"%d" % i for i in range(2_000)]
    found: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda part=part: found.append(ids_of(vocabulary, *part)))
        for part in (words, words[::-1], words[5000:] + words[:5000])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(words_in(vocabulary)) == sorted(words)
    assert all(sorted(ids) == list(range(len(words))) for ids in found)
    assert vocabulary.words_of(vocabulary.ids(column(words))) == words


def test_a_full_vocabulary_takes_no_more_words_and_keeps_those_it_has() -> None:
    vocabulary = Vocabulary(2)
    assert ids_of(vocabulary, b"a") == [0]
    assert ids_of(vocabulary, b"b", b"c", LONG) == [1, NO_ID, NO_ID]
    assert ids_of(vocabulary, b"a", b"c") == [0, NO_ID]
    assert (words_in(vocabulary), vocabulary.refused) == ([b"a", b"b"], 3)


def test_no_more_long_words_are_taken_than_their_dict_holds_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tables.cache.vocabulary.MAX_LONG_WORDS", 2)
    vocabulary = Vocabulary(100)
    assert ids_of(vocabulary, LONG + b"1", b"a") == [0, 1]
    assert ids_of(vocabulary, LONG + b"2", LONG + b"3", b"b") == [2, NO_ID, 3]
    assert ids_of(vocabulary, LONG + b"1", LONG + b"4", b"c") == [0, NO_ID, 4]
    assert vocabulary.refused == 2
    assert words_in(vocabulary) == [LONG + b"1", b"a", LONG + b"2", b"b", b"c"]


def test_a_vocabulary_that_refused_too_often_is_followed_by_another() -> None:
    limit = VocabularyLimit(2)
    first = limit.current
    ids_of(first, b"a", b"b")
    assert not limit.has_room(1)
    for _ in range(REFUSALS_PER_WORD):
        ids_of(first, b"c", b"d")
        limit.renew()
        assert limit.current is first
    ids_of(first, b"e")
    limit.renew()
    second = limit.current
    assert second is not first
    limit.renew()
    assert (len(second), limit.has_room(2), limit.current) == (0, True, second)
    assert words_in(first) == [b"a", b"b"]


def test_a_vocabulary_keeps_to_what_memory_allows_and_gives_one_up_that_is_larger() -> None:
    limit = VocabularyLimit(1000)
    first = limit.current
    ids_of(first, b"a", b"b", b"c")
    limit.bound(memory_bounds(DEFAULT_BYTES, 8))
    assert limit.max_words == 1000
    for words in (4, 3):
        limit.bound(replace(memory_bounds(DEFAULT_BYTES, 8), vocabulary_words=words))
        limit.renew()
        assert (limit.current, limit.has_room(2)) == (first, False)
    assert ids_of(first, b"d") == [NO_ID]
    limit.bound(replace(memory_bounds(DEFAULT_BYTES, 8), vocabulary_words=2))
    assert ids_of(first, b"d") == [NO_ID]
    limit.renew()
    second = limit.current
    assert second is not first
    assert ids_of(second, b"a", b"b", b"c") == [0, 1, NO_ID]


def test_counts_beyond_32_bits_are_kept_and_those_of_other_words_too() -> None:
    cache, store = CountCache(Vocabulary(1000), complete=True), Store()
    words = [b"a", b"b", b"c"]
    assert old_counts(cache, store, *words) == [0, 0, 0]
    for counts in ([1, 2**31 - 1, 3], [5, 2**31, 3], [2**40, 2**33, 2**31 + 3]):
        cache.update(cache.vocabulary.ids(column(words)), np.array(counts, np.int64), 9)
        assert old_counts(cache, store, *words) == counts
        sums = np.ones(3, np.int64)
        assert cache.add_to(sums) == 9
        assert sums.tolist() == [count + 1 for count in counts]
        assert [cache.count_of(word) for word in words] == [(count, 9) for count in counts]
    assert old_counts(cache, store, *[b"%d" % n for n in range(900)]) == [0] * 900
    assert cache.count_of(b"a") == (2**40, 9)


def test_counts_of_words_that_were_refused_are_read_once_they_are_stored() -> None:
    cache, store = CountCache(Vocabulary(1), complete=True), Store()
    ids_of(cache.vocabulary, b"a")
    words = [b"a", b"b"]
    assert old_counts(cache, store, *words) == [0, 0]
    cache.update(cache.vocabulary.ids(column(words)), np.array([3, 4], np.int64), 9)
    assert not cache.complete
    assert cache.add_to(np.zeros(1, np.int64)) is None
    store.counts[b"b"] = 4
    assert old_counts(cache, store, *words) == [3, 4]
    assert store.asked == [b"b"]


def test_a_complete_cache_reads_nothing() -> None:
    cache, store = CountCache(Vocabulary(100_000), complete=True), Store(a=5)
    assert old_counts(cache, store, b"a", b"b") == [0, 0]
    cache.update(cache.vocabulary.ids(column([b"b"])), np.array([3], np.int64), 9)
    assert old_counts(cache, store, b"a", b"b") == [0, 3]
    assert store.asked == []


def test_an_incomplete_cache_reads_what_it_does_not_know() -> None:
    cache, store = CountCache(Vocabulary(100_000), complete=False), Store(a=5, b=1)
    cache.update(cache.vocabulary.ids(column([b"b"])), np.array([3], np.int64), 9)
    assert old_counts(cache, store, b"a", b"b", b"c") == [5, 3, 0]
    assert store.asked == [b"a", b"c"]


def test_old_counts_are_not_taken_for_committed_ones() -> None:
    cache, store = CountCache(Vocabulary(100_000), complete=False), Store(a=5)
    assert old_counts(cache, store, b"a") == [5]
    store.counts[b"a"] = 6
    assert old_counts(cache, store, b"a") == [6]


def test_a_cache_grows_with_its_vocabulary() -> None:
    vocabulary = Vocabulary(100_000)
    cache, other = CountCache(vocabulary, complete=True), CountCache(vocabulary, complete=True)
    words = [b"%d" % i for i in range(5000)]
    ids = vocabulary.ids(column(words))
    cache.update(ids, np.arange(5000) + 1, 9)
    assert old_counts(cache, Store(), *words) == list(range(1, 5001))
    assert old_counts(other, Store(), *words) == [0] * 5000


def test_sums_take_what_is_known_and_tell_the_position() -> None:
    vocabulary = Vocabulary(100_000)
    cache = CountCache(vocabulary, complete=True)
    cache.learn(column([b"a", b"c"]), np.array([5, 2]), 9)
    ids_of(vocabulary, *(b"%d" % i for i in range(3000)))
    sums = np.full(len(vocabulary), 10, np.int64)
    assert cache.add_to(sums) == 9
    assert sums[:4].tolist() == [15, 12, 10, 10]
    few = np.zeros(1, np.int64)
    assert (cache.add_to(few), few.tolist()) == (9, [5])


@pytest.mark.parametrize(("complete", "position"), [(True, 0), (False, None)])
def test_a_cache_begins_with_no_counts(complete: bool, position: int | None) -> None:
    cache = CountCache(Vocabulary(100_000), complete=complete)
    assert (cache.position, cache.add_to(np.zeros(3, np.int64))) == (0, position)


def test_a_count_is_told_with_its_position_where_all_counts_are_known() -> None:
    vocabulary = Vocabulary(100_000)
    cache = CountCache(vocabulary, complete=True)
    cache.learn(column([b"a"]), np.array([5]), 9)
    ids_of(vocabulary, *(b"%d" % i for i in range(3000)))
    assert [cache.count_of(word) for word in (b"a", b"7", b"2999", b"none")] == [
        (5, 9),
        (0, 9),
        (0, 9),
        (0, 9),
    ]
    cache.position = None
    assert cache.count_of(b"a") is None
    assert CountCache(vocabulary, complete=False).count_of(b"a") is None


@pytest.mark.parametrize(("long_words", "complete"), [(2, True), (1, False)])
def test_a_cache_of_a_store_has_all_its_rows_or_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_words: int, complete: bool
) -> None:
    monkeypatch.setattr("tables.cache.vocabulary.MAX_LONG_WORDS", long_words)
    store = PartitionStore(tmp_path / "0", Cache(1 << 20))
    keys = [b"a", LONG + b"1", LONG + b"2"]
    store.commit(store.stage(keys, [pack_row(5, 9)] * 3), StoreState(marker=None, examined=4, max_upto=0))
    cache = cache_of(store, VocabularyLimit(100), threading.Event())
    store.close()
    assert (cache is not None) == complete
    assert cache is None or cache.count_of(LONG + b"2") == (5, 0)
