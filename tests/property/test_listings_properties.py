"""The search for top words in two round trips, against counting everything."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tables.top.leaders import Head
from tables.top.listings import Listing, decided, least_telling, listing_of, look_ups, searched

WORDS = [bytes([letter]) for letter in b"abcdefgh"]
PARTIES = st.lists(st.dictionaries(st.sampled_from(WORDS), st.integers(1, 9)), min_size=1, max_size=4)


def listed(counts: dict[bytes, int], most: int) -> Listing:
    first = sorted(counts, key=lambda word: (-counts[word], word))[:most]
    rest = [count for word, count in counts.items() if word not in first]
    return Listing({word: counts[word] for word in first}, max(rest, default=0))


def told(listing: Listing, counts: dict[bytes, int], words: Sequence[bytes]) -> Listing:
    return Listing({**listing.counts, **{word: counts.get(word, 0) for word in words}}, listing.bound)


@given(PARTIES, st.integers(1, 8), st.integers(1, 8), st.sampled_from([0, 3, 100]))
def test_the_answer_is_that_of_counting_everything_or_says_how_wrong_it_may_be(
    parties: list[dict[bytes, int]], k: int, most: int, most_look_ups: int
) -> None:
    listings = [listed(counts, most) for counts in parties]
    asked = look_ups(listings, k, most_look_ups)
    listings = [told(*one) for one in zip(listings, parties, asked, strict=True)]
    top = decided(listings, k)
    everything: Counter[bytes] = Counter()
    for counts in parties:
        everything.update(counts)
    right = sorted(everything.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
    assert all(everything[word.encode()] == count for word, count in top.words)
    if top.exact:
        assert [(word.encode(), count) for word, count in top.words] == right
    else:
        last = top.words[-1][1] if top.words else 0
        left_out = max(
            (count for word, count in everything.items() if word.decode() not in dict(top.words)), default=0
        )
        assert left_out <= last + (top.max_error or 0)
    if most >= k and most_look_ups >= 100:
        assert len(top.words) == len(right), "there are as many words as were asked for"
    if most_look_ups >= 100 and len(right) == k and right[-1][1] > sum(one.bound for one in listings):
        assert top.exact


@given(PARTIES, st.integers(1, 8), st.integers(1, 8))
def test_the_answer_is_certain_if_each_party_tells_all_words_from_its_share_on(
    parties: list[dict[bytes, int]], k: int, most: int
) -> None:
    least = least_telling([listed(counts, most) for counts in parties], k)
    listings = [
        Listing({word: count for word, count in counts.items() if count >= least}, least - 1)
        for counts in parties
    ]
    asked = look_ups(listings, k, 100)
    top = decided([told(*one) for one in zip(listings, parties, asked, strict=True)], k)
    everything: Counter[bytes] = Counter()
    for counts in parties:
        everything.update(counts)
    right = sorted(everything.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
    if len(right) < k or right[-1][1] > sum(listing.bound for listing in listings):
        assert top.exact
    if top.exact:
        assert [(word.encode(), count) for word, count in top.words] == right


class Part:
    """A part of a party, with leaders and a store."""

    def __init__(self, told: Listing, counts: dict[bytes, int]) -> None:
        self.words = pa.array([*told.counts], pa.binary())
        self.counts = np.array([*told.counts.values()], np.int64)
        self.bound = told.bound
        self._counts = counts

    def counts_of(self, words: Sequence[bytes]) -> list[int]:
        return [self._counts.get(word, 0) for word in words]


@given(PARTIES, st.integers(1, 8), st.integers(1, 8), st.lists(st.sampled_from(WORDS), unique=True))
def test_a_party_of_several_parts_lists_exact_counts_and_bounds_all_others(
    parts: list[dict[bytes, int]], most: int, k: int, also: list[bytes]
) -> None:
    everything: Counter[bytes] = Counter()
    for counts in parts:
        everything.update(counts)
    told_of = [listed(counts, most) for counts in parts]
    by_heads = listing_of([Head(one.counts, one.bound) for one in told_of])
    by_leaders = searched([Part(*one) for one in zip(told_of, parts, strict=True)], k, also)
    assert set(also) <= by_leaders.counts.keys()
    for listing in (by_heads, by_leaders):
        assert all(everything[word] == count for word, count in listing.counts.items())
        assert all(count <= listing.bound for word, count in everything.items() if word not in listing.counts)
    assert by_leaders.bound <= by_heads.bound
    assert len(by_leaders.counts) >= min(k, len({word for one in told_of for word in one.counts}))


def test_words_that_no_party_lists_keep_an_answer_from_being_certain() -> None:
    top = decided([Listing({b"a": 3}, 2), Listing({b"a": 1}, 2)], 1)
    assert (top.words, top.max_error) == ([("a", 4)], 0)


def test_a_party_that_has_told_all_its_words_is_not_asked() -> None:
    assert look_ups([Listing({b"a": 3}, 0), Listing({b"b": 2}, 1)], 2, 100) == [[], [b"a", b"b"]]
