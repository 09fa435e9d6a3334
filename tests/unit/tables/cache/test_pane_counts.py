"""Counts of windows in memory: they are those of the store, and nothing is read of a window that began empty."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from rocksdict import Cache

from tables.cache.pane_counts import PaneCaches
from tables.cache.vocabulary import Vocabulary
from tables.model.event_clock import EventClock
from tables.model.rows import StoreState
from tables.model.windows import Pane, SizeRule, WindowRules, WindowState, begun
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row

T = 1_735_732_800
RULES = WindowRules((SizeRule(60, 0, 600),))


def windows(stream_s: int) -> WindowState:
    return begun(RULES, 0).at(EventClock(stream_s * 1000))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PartitionStore]:
    one = PartitionStore(tmp_path / "store", Cache(1 << 20))
    yield one
    one.close()


class Flushes:
    """Flushes counts of panes to a store and to the memory of them, and compares both."""

    def __init__(self, store: PartitionStore, vocabulary: Vocabulary) -> None:
        self.store, self.vocabulary = store, vocabulary
        self.panes = PaneCaches(vocabulary)
        self.reads = 0
        get_many = store.get_many

        def counted(keys: list[bytes]) -> list[bytes | None]:
            self.reads += len(keys)
            return get_many(keys)

        store.get_many = counted  # type: ignore[method-assign]
        self.upto = 0
        self.truth: dict[tuple[Pane, bytes], int] = {}

    def flush(self, pane: Pane, *words: bytes) -> None:
        self.upto += 1
        array = pa.array(sorted(words), pa.binary())
        ids = self.vocabulary.ids(array)
        old = self.panes.old_counts(pane, array, ids, 0, self.store)
        assert old.tolist() == [self.truth.get((pane, word), 0) for word in sorted(words)]
        keys = [pane.prefix + word for word in sorted(words)]
        rows = [pack_row(int(count) + 1, self.upto) for count in old]
        state = StoreState(marker=None, examined=self.upto, max_upto=self.upto)
        self.store.commit(self.store.stage(keys, rows), state)
        self.panes.update(pane, ids, old + 1)
        self.truth |= {(pane, word): self.truth.get((pane, word), 0) + 1 for word in words}


def test_nothing_is_read_of_windows_that_began_empty(store: PartitionStore) -> None:
    flushes = Flushes(store, Vocabulary(100))
    flushes.panes.begun()
    for minute in range(3):
        flushes.flush(Pane(60, T + 60 * minute), b"a", b"b")
        flushes.flush(Pane(60, T + 60 * minute), b"b", b"c", b"a")
    assert flushes.reads == 0


def test_windows_that_a_restore_may_have_found_are_read_once(store: PartitionStore) -> None:
    flushes = Flushes(store, Vocabulary(100))
    flushes.panes.begun()
    flushes.flush(Pane(60, T), b"a", b"b")
    flushes.panes.restored(windows(T + 30), exact=True)
    flushes.flush(Pane(60, T), b"a", b"c")
    assert flushes.reads == 2
    flushes.flush(Pane(60, T), b"a", b"c")
    flushes.flush(Pane(60, T + 60), b"a")
    assert flushes.reads == 2
    flushes.flush(Pane(60, T), b"b")
    assert flushes.reads == 3


@pytest.mark.parametrize(("state", "exact"), [(None, True), (windows(T), False)])
def test_where_nothing_is_known_every_count_is_read(
    store: PartitionStore, state: WindowState | None, *, exact: bool
) -> None:
    flushes = Flushes(store, Vocabulary(100))
    flushes.panes.restored(state, exact=exact)
    flushes.flush(Pane(60, T + 600), b"a", b"b")
    assert flushes.reads == 2


def test_counts_up_to_the_offset_from_which_a_size_is_counted_are_dead(store: PartitionStore) -> None:
    flushes = Flushes(store, Vocabulary(100))
    flushes.flush(Pane(60, T), b"a")
    words = pa.array([b"a"], pa.binary())
    for since, count in ((0, 1), (1, 0)):
        panes = PaneCaches(flushes.vocabulary)
        old = panes.old_counts(Pane(60, T), words, flushes.vocabulary.ids(words), since, store)
        assert old.tolist() == [count]


def test_words_without_an_id_are_read(store: PartitionStore) -> None:
    flushes = Flushes(store, Vocabulary(2))
    flushes.panes.begun()
    for _ in range(3):
        flushes.flush(Pane(60, T), b"a", b"b", b"c", b"d")
    assert flushes.reads == 4


def test_closed_windows_are_forgotten_and_read_again_if_need_be(store: PartitionStore) -> None:
    flushes = Flushes(store, Vocabulary(100))
    flushes.panes.begun()
    flushes.flush(Pane(60, T), b"a")
    flushes.flush(Pane(60, T + 60), b"a")
    flushes.panes.trim(windows(T + 60), 1000)
    flushes.flush(Pane(60, T + 60), b"a", b"b")
    assert flushes.reads == 0
    flushes.flush(Pane(60, T), b"a")
    assert flushes.reads == 1


def test_an_unconfirmed_window_is_always_read(store: PartitionStore) -> None:
    flushes = Flushes(store, Vocabulary(100))
    flushes.panes.begun()
    for _ in range(2):
        flushes.flush(Pane(60, T, 5), b"a")
    assert flushes.reads == 2


def test_memory_is_bounded_whatever_is_counted(store: PartitionStore) -> None:
    random, words = Random(7), [b"%d" % number for number in range(30)]
    vocabularies = [Vocabulary(25), Vocabulary(1000)]
    flushes = Flushes(store, vocabularies[0])
    flushes.panes.begun()
    for step in range(300):
        minute = T + 60 * (step // 60 + random.randint(0, 2))
        flushes.flush(Pane(60, minute), *random.sample(words, random.randint(1, 9)))
        flushes.panes.trim(windows(T + 60 * (step // 60)), 20)
        assert sum(len(one.ids) for one in flushes.panes._panes.values()) <= 20
        if step % 50 == 49:
            flushes.vocabulary = random.choice(vocabularies)
            flushes.panes.renew(flushes.vocabulary)
    assert np.isin(list(flushes.truth.values()), range(1, 300)).all()
