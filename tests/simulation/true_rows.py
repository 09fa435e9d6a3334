"""Comparisons of rows, caches and lists of top words with the truth."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from tables.cache.counts import UNKNOWN
from tables.model.names import END_OF_WORDS
from tables.model.record_ids import IdState, is_id_key
from tables.model.rows import StoreState
from tables.model.tally import Totals
from tables.model.windows import WindowState, is_pane_key, pane_of
from tables.partitions.shard import Shard
from tables.top.top_words import TopWords
from tests.simulation.ids import SPAN
from tests.simulation.source import SourcePartition
from tests.simulation.window_truth import WindowTruth
from tests.simulation.wrong_error import WrongError


def is_top(top: TopWords, true: Counter[str], k: int, *, exactly: bool) -> bool:
    """Return whether `top` has the first `k` words of `true`; unless `exactly`, it may be wrong by its `max_error`."""
    ranked = sorted(true.items(), key=lambda pair: (-pair[1], pair[0].encode()))
    if top.max_error is None or exactly:
        return list(top.words) == ranked[:k]
    listed = dict(top.words)
    others = [count for word, count in ranked if word not in listed]
    within = max(others, default=0) <= top.words[-1][1] + top.max_error
    return within and all(true[word] == count for word, count in top.words)


def word_counts(rows: Mapping[bytes, tuple[int, int]]) -> dict[bytes, int]:
    return {word: count for word, (count, _) in rows.items() if word < END_OF_WORDS}


def true_totals(source: SourcePartition, state: StoreState) -> Totals:
    return source.totals(state.position, source.windows.of(state.marker))


def has_windows(state: StoreState) -> bool:
    return state.marker is not None and state.marker.windows is not None


def look_at_ids(
    name: str, source: SourcePartition, state: StoreState, rows: Mapping[bytes, tuple[int, int]]
) -> None:
    """Check the rows of ids of a store whose rows are those of its position. Raise WrongError if they are not true."""
    ids = (state.marker.ids if state.marker is not None else None) or IdState(span=SPAN)
    true = source.ids.rows(state.position)
    found = {
        key: count
        for key, (count, _) in rows.items()
        if is_id_key(key) and not source.ids.is_gone(key, state.position)
    }
    if found != true or ids != IdState(source.ids.records(state.position), SPAN):
        raise WrongError("ids are those of the position", f"{name}: {ids}, {found}, true is {true}")


def look_at_windows(
    name: str, source: SourcePartition, state: StoreState, rows: Mapping[bytes, tuple[int, int]]
) -> None:
    """Check event time and windows of a store whose rows are those of its position. Raise WrongError if they are not true."""
    windows, truth = (
        state.marker.windows if state.marker is not None else None,
        source.windows.of(state.marker),
    )
    if windows is None:
        return
    clock = truth.clock(state.position)
    if windows.clock != clock:
        raise WrongError("event time is that of the position", f"{name}: {windows.clock}, true is {clock}")
    _look_at_rules(name, windows, truth, state.position)
    true = truth.counts(state.position)
    live = {
        key: count
        for key, (count, upto) in rows.items()
        if is_pane_key(key) and windows.is_live(pane_of(key)[0], upto)
    }
    if live != true:
        raise WrongError("windows are those of the position", f"{name}: {live}, true is {true}")


def _look_at_rules(name: str, windows: WindowState, truth: WindowTruth, position: int) -> None:
    """Check that a marker says since when it counts by its rules, and what time it was then. Raise WrongError if it does not."""
    counted = {size.rule.size_s: (size.rule, size.since) for size in windows.sizes}
    sizes = {size_s: (one.rule, one.since) for size_s, one in truth.sizes(position).items()}
    clock = truth.clock(truth.stretches[-1].start)
    if (counted, windows.ruled_clock) != (sizes, clock):
        raise WrongError(
            "rules hold from a position on",
            f"{name}: {windows}, true is {sizes} and {clock} of {truth.stretches}",
        )


def look_at_cache(name: str, shard: Shard, counts: dict[bytes, int]) -> None:
    vocabulary = shard.cache.vocabulary
    words = vocabulary.words_of(np.arange(len(vocabulary)))
    cached = np.full(len(words), UNKNOWN, np.int64)
    known = shard.cache._counts[: len(words)]
    cached[: len(known)] = known
    for word, count in zip(words, cached.tolist(), strict=True):
        missing = count == UNKNOWN and not (shard.cache.complete and word in counts)
        if not missing and count != counts.get(word, 0):
            raise WrongError(
                "the cache is as the store", f"{name}: {count} of {word!r}, the store has {counts.get(word)}"
            )
