"""Merging a changelog: the outcome depends on the records alone, not on how they are sliced or how often they are read."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.model import replay as replay_module
from tables.model.names import MARKER_KEY
from tables.model.records import ChangelogSlice
from tables.model.replay import Replay
from tables.model.rows import Marker, Owner, StoreState, decode_marker, encode_marker, unpack_row
from tests.fakes.rows import pack_row

Record = tuple[bytes, bytes]
EMPTY = StoreState(marker=None, examined=0, max_upto=0)


class Store:
    """Takes rows and state as a restore writes them."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.state = EMPTY

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        return [self.rows.get(word) for word in words]

    def take(self, replay: Replay) -> None:
        rows = replay.take()
        self.rows.update(zip(rows.keys(), rows.values(), strict=True))
        self.state = StoreState(marker=replay.marker, examined=replay.examined, max_upto=replay.max_upto)


def row(word: bytes, upto: int) -> Record:
    return word, pack_row(1000 + upto, upto)


def marker(position: int) -> Record:
    return MARKER_KEY, encode_marker(Marker(topic="t", profile="p", origin=0, position=position))


words = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
uptos = st.integers(1, 12)
logs = st.lists(st.builds(row, words, uptos) | st.builds(marker, uptos), max_size=30)
flushes = st.lists(st.tuples(st.sets(words), uptos), max_size=8).map(
    lambda parts: [r for found, upto in parts for r in [*(row(w, upto) for w in sorted(found)), marker(upto)]]
)
changelogs = logs | flushes
buffers = st.sampled_from([1, 100, 1 << 20])
"""Bytes at which records are merged: after each slice, after some, not before the rows are taken."""

cuts = st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=30)


def restored(log: list[Record], cut: list[tuple[int, bool]], store: Store, *, begin: int = 0) -> Replay:
    """Replay `log` from offset `begin` in slices of the lengths in `cut`; the store is written after those marked True."""
    replay = Replay(store, store.state, Owner("group", "t"))
    rest, lengths = log[begin:], iter(cut)
    while rest:
        length, write = next(lengths, (len(rest), False))
        part, rest = rest[:length], rest[length:]
        replay.apply(ChangelogSlice.of(part, len(log) - len(rest)))
        if write:
            store.take(replay)
    store.take(replay)
    return replay


@given(changelogs, cuts, buffers)
def test_the_outcome_is_that_of_the_definition(
    log: list[Record], cut: list[tuple[int, bool]], buffer: int
) -> None:
    store = Store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_module, "MERGE_BYTES", buffer)
        replay = restored(log, cut, store)
    best: dict[bytes, bytes] = {}
    for word, value in log:
        if word != MARKER_KEY and (word not in best or unpack_row(value)[1] >= unpack_row(best[word])[1]):
            best[word] = value
    latest = {word: value for word, value in log if word != MARKER_KEY}
    markers = [decode_marker(value) for word, value in log if word == MARKER_KEY]
    assert store.rows == best
    assert replay.stale == {word for word in best if latest[word] != best[word]}
    furthest = max((m.position for m in markers), default=0)
    assert replay.marker == next((m for m in reversed(markers) if m.position == furthest), None)
    assert replay.needs_healing() is bool(replay.stale or (markers and markers[-1] != replay.marker))
    reached = [unpack_row(value)[1] for value in best.values()] + [m.position for m in markers]
    assert replay.max_upto == max([0, *reached])
    assert replay.examined == len(log)


@given(changelogs, cuts, cuts, st.integers(0, 30))
def test_reading_a_part_again_changes_nothing(
    log: list[Record], cut: list[tuple[int, bool]], again: list[tuple[int, bool]], begin: int
) -> None:
    once, twice = Store(), Store()
    restored(log, cut, once)
    restored(log, cut, twice)
    replay = restored(log, again, twice, begin=min(begin, len(log)))
    assert (twice.rows, twice.state.marker, twice.state.max_upto) == (
        once.rows,
        once.state.marker,
        once.state.max_upto,
    )
    latest = {word: value for word, value in log if word != MARKER_KEY}
    read_again = {word for word, _ in log[begin:] if word != MARKER_KEY}
    assert replay.stale == {word for word in read_again if latest[word] != once.rows[word]}


@given(changelogs, cuts)
def test_healing_leaves_nothing_to_heal_and_survives_compaction(
    log: list[Record], cut: list[tuple[int, bool]]
) -> None:
    store = Store()
    replay = restored(log, cut, store)
    healed = log + [(word, store.rows[word]) for word in sorted(replay.stale)]
    if (best := replay.healed_marker()) is not None and replay.needs_healing():
        healed.append((MARKER_KEY, encode_marker(best)))
    again = Store()
    assert not restored(healed, cut, again).needs_healing()
    assert again.rows == store.rows
    latest = dict(healed)
    compacted = [(word, value) for i, (word, value) in enumerate(healed) if word not in dict(healed[i + 1 :])]
    assert dict(compacted) == latest
    from_compacted = Store()
    restored(compacted, [], from_compacted)
    assert (from_compacted.rows, from_compacted.state.marker) == (store.rows, store.state.marker)
