"""Leaders are the most frequent words of what was written, whatever was written, and top-k is what counting everything gives."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.model.rows import Marker, StoreState
from tables.top.leaders import MOST_LEADERS, Head, Leaders, PartitionLeaders
from tables.top.note import leaders_in, note_of
from tables.top.top_words import TopWords, most_frequent, proven
from tests.fakes.rows import pack_row

WORDS = st.sampled_from(
    [letter.encode() for letter in "abcdefghij"] + ["é".encode(), b"a word of more than fifteen bytes"]
)
GROWTH = st.dictionaries(
    WORDS, st.integers(1, 4) | st.integers(1 << 13, 1 << 15) | st.integers(1, 1 << 40), max_size=8
)
FLUSHES = st.lists(GROWTH, max_size=12)
MOST = st.integers(1, 6)


def written(counts: Mapping[bytes, int]) -> tuple[pa.BinaryArray, np.ndarray]:
    words = sorted(counts)
    return pa.array(words, pa.binary()), np.array([counts[word] for word in words], np.int64)


def check(leaders: Leaders, true: Mapping[bytes, int], most: int) -> None:
    """By the slow definition."""
    words, counts, bound = leaders.read()
    found = dict(zip(words.to_pylist(), counts.tolist(), strict=True))
    assert len(found) == len(words) == min(most, len(true))
    assert found == {word: true[word] for word in found}
    others = [count for word, count in true.items() if word not in found]
    assert bound == max(others, default=0)
    assert all(count >= bound for count in found.values())
    head = leaders.head
    assert dict(head.counts) == {word: true[word] for word in head.counts}
    assert head.bound >= max((count for word, count in true.items() if word not in head.counts), default=0)


def rows_of(growths: Sequence[Mapping[bytes, int]]) -> list[dict[bytes, int]]:
    """The counts that each flush writes: those of its words, after it."""
    true: Counter[bytes] = Counter()
    rows = []
    for growth in growths:
        true.update(growth)
        rows.append({word: true[word] for word in growth})
    return rows


@given(FLUSHES, MOST, st.booleans())
def test_leaders_are_the_most_frequent_words_after_each_flush(
    growths: Sequence[Mapping[bytes, int]], most: int, read_in_between: bool
) -> None:
    leaders, true = Leaders(most), Counter[bytes]()
    for growth, rows in zip(growths, rows_of(growths), strict=True):
        true.update(growth)
        leaders = leaders.with_rows(*written(rows))
        if read_in_between:
            check(leaders, true, most)
    check(leaders, true, most)


@given(FLUSHES, MOST, st.data())
def test_rows_may_come_in_any_order_and_again(
    growths: Sequence[Mapping[bytes, int]], most: int, data: st.DataObject
) -> None:
    rows = rows_of(growths)
    leaders = Leaders(most)
    for part in data.draw(
        st.permutations(rows + data.draw(st.lists(st.sampled_from(rows), max_size=4)) if rows else [])
    ):
        leaders = leaders.with_rows(*written(part))
    check(leaders, sum(map(Counter, growths), Counter()), most)


@dataclass
class Rows:
    """A store."""

    counts: Counter[bytes]
    position: int = 0

    @property
    def exact_position(self) -> int:
        return self.position

    def scan(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        words = sorted(word for word in self.counts if word >= start)
        return [(word, pack_row(self.counts[word], 9)) for word in words[:2]]


class EnoughError(Exception):
    """The budget of a reader is spent."""


@given(FLUSHES, FLUSHES, MOST)
def test_a_pass_over_a_store_may_stop_and_go_on_while_flushes_go_on(
    before: Sequence[Mapping[bytes, int]], meanwhile: Sequence[Mapping[bytes, int]], most: int
) -> None:
    store = Rows(sum(map(Counter, before), Counter()))
    kept = PartitionLeaders(0, empty=False, most=most)

    def enough() -> None:
        raise EnoughError

    for position, growth in enumerate(meanwhile, 1):
        if not kept.whole:
            with pytest.raises(EnoughError):
                kept.gather(store, enough)
        with kept.advancing(
            *written({word: store.counts[word] + more for word, more in growth.items()}), position
        ):
            store.counts.update(growth)
            store.position = position
    kept.gather(store, lambda: None)
    version = kept.at(len(meanwhile))
    assert version is not None
    check(version.leaders, store.counts, most)


def state_at(position: int) -> StoreState:
    marker = Marker(topic="texts", profile="unicode/1", origin=0, position=position)
    return StoreState(marker=marker, examined=position, max_upto=position)


@given(FLUSHES, FLUSHES, MOST)
def test_leaders_that_were_noted_are_those_that_go_on(
    before: Sequence[Mapping[bytes, int]], after: Sequence[Mapping[bytes, int]], most: int
) -> None:
    kept, true, position = PartitionLeaders(0, empty=True, most=most), Counter[bytes](), 0
    for growths in (before, after):
        for growth in growths:
            true.update(growth)
            position += 1
            with kept.advancing(*written({word: true[word] for word in growth}), position):
                pass
        noted = note_of(kept, state_at(position))
        leaders = leaders_in(noted, state_at(position), most)
        assert leaders is not None
        kept = PartitionLeaders(position, empty=False, most=most, known=leaders)
        assert kept.whole
        version = kept.at(position)
        assert version is not None
        check(version.leaders, true, most)
        assert leaders_in(noted, state_at(position + 1), most) is None
        assert leaders_in(noted, state_at(position), most + 1) is None
        assert leaders_in(noted[:-1], state_at(position), most) is None


@given(st.integers(0), st.integers(0, 7))
def test_a_damaged_note_says_nothing(place: int, bit: int) -> None:
    kept = PartitionLeaders(0, empty=True)
    with kept.advancing(*written({b"a": 3, b"b": 1 << 40}), 1):
        pass
    damaged = bytearray(note_of(kept, state_at(1)))
    damaged[place % len(damaged)] ^= 1 << bit
    assert leaders_in(bytes(damaged), state_at(1), MOST_LEADERS) is None


class FinishedMeanwhile(PartitionLeaders):
    """Leaders whose pass ends in another thread just before somebody asks whether the leaders are known."""

    finish: Callable[[], None] | None = None

    @property
    def _whole(self) -> bool:  # type: ignore[override]
        if (finish := self.finish) is not None:
            self.finish = None
            finish()
        return self._is_whole

    @_whole.setter
    def _whole(self, value: bool) -> None:
        self._is_whole = value


def test_leaders_that_become_known_meanwhile_are_not_noted_in_part() -> None:
    store = Rows(Counter({b"a": 3, b"b": 5, b"z": 100}), 1)
    kept = FinishedMeanwhile(1, empty=False)

    def enough() -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        kept.gather(store, enough)
    kept.finish = lambda: kept.gather(store, lambda: None)
    leaders = leaders_in(note_of(kept, state_at(1)), state_at(1), MOST_LEADERS)
    assert leaders is not None
    check(leaders, store.counts, MOST_LEADERS)


def test_leaders_that_are_not_known_are_not_noted() -> None:
    assert note_of(PartitionLeaders(5, empty=False), state_at(5)) == b""
    assert note_of(PartitionLeaders(4, empty=True), state_at(5)) == b""
    assert note_of(PartitionLeaders(None, empty=True), state_at(5)) == b""


@dataclass
class CountedParty:
    """A partition; counts how often it is asked."""

    true: Mapping[bytes, int]
    leaders: Leaders
    asked: int = 0

    @property
    def words(self) -> pa.BinaryArray:
        return self.leaders.read()[0]

    @property
    def counts(self) -> np.ndarray:
        return self.leaders.read()[1]

    @property
    def bound(self) -> int:
        return self.leaders.read()[2]

    def counts_of(self, words: Sequence[bytes]) -> list[int]:
        assert list(words) == sorted(set(words))
        self.asked += len(words)
        return [self.true.get(word, 0) for word in words]


def parties_of(counts: Sequence[Mapping[bytes, int]], most: int) -> list[CountedParty]:
    return [CountedParty(each, Leaders(most).with_rows(*written(each))) for each in counts]


def slowly(counts: Sequence[Mapping[bytes, int]], k: int) -> list[tuple[str, int]]:
    """All words, counted and sorted."""
    total = sum(map(Counter, counts), Counter())
    ranked = sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(word.decode(), count) for word, count in ranked[:k]]


COUNTS = st.lists(st.dictionaries(WORDS, st.integers(1, 9), max_size=10), min_size=1, max_size=4)


def judge(found: TopWords, counts: Sequence[Mapping[bytes, int]], k: int) -> None:
    """What is said to be exact is; what is not is within its error, with true counts."""
    everything, expected = dict(slowly(counts, 100)), slowly(counts, k)
    if found.exact:
        assert found.words == expected
        return
    assert found.max_error is not None
    assert found.words == sorted(found.words, key=lambda pair: (-pair[1], pair[0].encode()))
    assert all(everything[word] == count for word, count in found.words)
    listed = dict(found.words)
    others = [count for word, count in everything.items() if word not in listed]
    assert max(others, default=0) <= found.words[-1][1] + found.max_error


@given(COUNTS, st.integers(1, 12), MOST, st.sampled_from([0, 2, 100]))
def test_top_words_are_those_of_counting_everything_or_within_their_error(
    counts: Sequence[Mapping[bytes, int]], k: int, most: int, look_ups: int
) -> None:
    judge(most_frequent(parties_of(counts, most), k, most_look_ups=look_ups), counts, k)


@given(COUNTS, st.integers(1, 12))
def test_where_all_words_are_leaders_the_answer_is_exact_and_nothing_is_looked_up(
    counts: Sequence[Mapping[bytes, int]], k: int
) -> None:
    parties = parties_of(counts, 100)
    assert most_frequent(parties, k) == TopWords(slowly(counts, k))
    assert not any(party.asked for party in parties)


def test_words_of_which_each_is_as_frequent_prove_nothing_and_are_not_looked_up() -> None:
    counts = [{b"%05d" % (number + 7919 * turn): 1 for number in range(2000)} for turn in range(4)]
    parties = parties_of(counts, 50)
    found = most_frequent(parties, 10)
    assert (len(found.words), found.max_error) == (10, 3)
    assert sum(party.asked for party in parties) <= 30


def test_a_word_that_occurs_as_often_and_is_told_of_by_nobody_is_not_excluded() -> None:
    """`b` and `c` lead where they are, `a` nowhere, and occurs as often as `b`: 4."""
    counts = [{b"b": 4, b"a": 2}, {b"c": 3, b"a": 2}]
    found = most_frequent(parties_of(counts, 1), 1)
    assert (found.words, found.max_error) == ([("b", 4)], 0)


def test_frequent_words_are_proven_without_a_look_at_the_others() -> None:
    words = [b"%05d" % rank for rank in range(20_000)]
    counts = [{word: 100_000 // (rank + 1) for rank, word in enumerate(words)} for _ in range(8)]
    parties = parties_of(counts, 1000)
    assert most_frequent(parties, 100) == TopWords(slowly(counts, 100))
    assert not any(party.asked for party in parties)


def test_a_word_that_leads_in_one_party_alone_is_looked_up_in_the_others() -> None:
    counts = [{b"a": 50, b"b": 40, b"c": 1}, {b"d": 60, b"a": 45, b"b": 2}]
    parties = parties_of(counts, 2)
    assert most_frequent(parties, 1) == TopWords([("a", 95)])
    assert most_frequent(parties, 2) == TopWords([("a", 95), ("d", 60)])


def test_an_error_in_a_commit_leaves_leaders_open_until_the_store_was_gone_through() -> None:
    store = Rows(Counter({b"a": 3}))
    kept = PartitionLeaders(0, empty=True)

    def failed() -> None:
        with kept.advancing(*written({b"b": 1}), 5):
            raise OSError

    with pytest.raises(OSError):
        failed()
    assert kept.at(0) is None
    assert kept.at(5) is None
    assert not kept.whole
    kept.gather(store, lambda: None)
    version = kept.at(store.position)
    assert version is not None
    check(version.leaders, store.counts, 10)


def test_while_a_store_is_written_leaders_are_there_for_both_positions() -> None:
    kept = PartitionLeaders(0, empty=True)
    found: list[Callable[[], object]] = []
    with kept.advancing(*written({b"a": 1}), 5):
        found += [lambda: kept.at(0), lambda: kept.at(5)]
        assert all(each() is not None for each in found)
    assert kept.at(5) is not None
    with kept.advancing(*written({b"a": 2}), 9):
        assert kept.at(0) is None
    assert [kept.at(position) is None for position in (0, 5, 9)] == [True, False, False]


COUNTS = st.dictionaries(WORDS, st.integers(1, 6), max_size=12)


@given(st.lists(st.tuples(COUNTS, st.integers(0, 12)), min_size=1, max_size=4), st.integers(1, 6))
def test_what_heads_prove_is_what_counting_everything_gives(
    parties: Sequence[tuple[Mapping[bytes, int], int]], k: int
) -> None:
    heads, sums = [], Counter[bytes]()
    for true, size in parties:
        sums.update(true)
        ranked = sorted(true.items(), key=lambda pair: -pair[1])
        heads.append(Head(dict(ranked[:size]), max((count for _, count in ranked[size:]), default=0)))
    found = proven(heads, k)
    ranked = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
    if found is None:
        assert any(head.bound for head in heads), "all is told"
    else:
        assert found == TopWords([(word.decode(), count) for word, count in ranked[:k]])


@given(FLUSHES, st.integers(1, 6), st.randoms(use_true_random=False))
def test_a_head_is_the_first_of_what_was_written_in_any_order(
    growths: Sequence[Mapping[bytes, int]], most: int, random: Random
) -> None:
    rows, head = rows_of(growths), Head({}, 0)
    random.shuffle(rows)
    for part in rows:
        words, counts = written(part)
        head = head.with_rows(words, counts, np.arange(len(counts)), 0, most)
    true = sum(map(Counter, growths), Counter[bytes]())
    assert len(head.counts) == min(most, len(true))
    assert dict(head.counts) == {word: true[word] for word in head.counts}
    assert head.bound == max((count for word, count in true.items() if word not in head.counts), default=0)


def test_a_hundred_words_of_a_text_are_proven_by_heads_alone() -> None:
    heads = []
    for seed in range(4):
        counts = np.random.default_rng(seed).multinomial(
            10**6, (weights := 1 / np.arange(1, 5001)) / weights.sum()
        )
        words = pa.array([f"word{number:04}".encode() for number in np.flatnonzero(counts)], pa.binary())
        heads.append(Leaders().with_rows(words, counts[counts > 0]).head)
    found = proven(heads, 100)
    assert found is not None and found.exact and len(found.words) == 100
