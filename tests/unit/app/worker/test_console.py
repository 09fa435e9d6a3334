"""Totals that console mode prints, on real stores: several partitions, concurrent flushes, partitions that come and go."""

from __future__ import annotations

import io
import random
import sys
import threading
import tracemalloc
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from rocksdict import Cache

from app.worker.console import CountPrinter
from tables.model.records import RecordBatch
from tables.model.rows import Marker, StoreState, unpack_row
from tables.ports import CountedRows
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row


class Partitions:
    """Partitions whose flushes go through a printer, as those of shards do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.owned: dict[int, SimpleNamespace] = {}
        self.printer = CountPrinter(lambda batch: batch.values[0].as_py().split(), lambda: dict(self.owned))

    def own(self, number: int) -> None:
        self.owned[number] = SimpleNamespace(store=PartitionStore(self.folder / str(number), Cache(1 << 20)))

    def lose(self, number: int) -> None:
        self.owned.pop(number).store.close()

    def flush(self, number: int, text: bytes, *, ahead: int = 0) -> None:
        """Count `text`; of its first word, `ahead` occurrences are in the rows already."""
        store = self.owned[number].store
        added = Counter(text.split())
        if ahead:
            added[text.split()[0]] -= ahead
        words = sorted(word for word, times in added.items() if times)
        before = [unpack_row(row)[0] if row else 0 for row in store.get_many(words)]
        counts = np.array([old + added[word] for old, word in zip(before, words, strict=True)], np.int64)
        position = store.state.position + 1
        rows = CountedRows(
            [RecordBatch(pa.array([text], pa.binary()), position - 1, position)],
            words,
            np.array([added[word] for word in words], np.int64),
            counts,
        )
        state = StoreState(
            marker=Marker(topic="t", profile="p", origin=0, position=position),
            examined=1,
            max_upto=position,
        )
        staged = store.stage(words, [pack_row(int(count), position) for count in counts])
        self.printer(number, rows, lambda: store.commit(staged, state))


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", stream)
    return stream


@pytest.fixture
def partitions(tmp_path: Path, out: io.StringIO):
    made = Partitions(tmp_path)
    yield made
    for number in list(made.owned):
        made.lose(number)


def test_totals_are_over_all_partitions_and_go_up_by_one(partitions: Partitions, out: io.StringIO) -> None:
    for number in (0, 1, 2):
        partitions.own(number)
    partitions.flush(0, b"w x w")
    partitions.flush(1, b"w")
    partitions.flush(2, b"x w")
    assert out.getvalue().split() == ["(w,1)", "(x,1)", "(w,2)", "(w,3)", "(x,2)", "(w,4)"]


def test_flushes_of_several_threads_number_every_occurrence_once(
    partitions: Partitions, out: io.StringIO
) -> None:
    for number in range(4):
        partitions.own(number)

    def flush_often(number: int) -> None:
        dice = random.Random(number)
        for _ in range(60):
            partitions.flush(number, b" ".join(dice.choices([b"a", b"b", b"c"], k=5)))

    threads = [threading.Thread(target=flush_often, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    printed: dict[str, list[int]] = {}
    for line in out.getvalue().split():
        word, total = line.strip("()").split(",")
        printed.setdefault(word, []).append(int(total))
    assert sum(map(len, printed.values())) == 4 * 60 * 5
    assert all(totals == list(range(1, len(totals) + 1)) for totals in printed.values())


def test_a_partition_brings_its_counts_and_takes_them_along(partitions: Partitions, out: io.StringIO) -> None:
    partitions.own(0)
    partitions.own(1)
    partitions.flush(1, b"w w w")
    partitions.flush(0, b"w")
    partitions.lose(1)
    partitions.flush(0, b"w")
    partitions.own(1)
    partitions.flush(0, b"w")
    assert out.getvalue().split() == ["(w,1)", "(w,2)", "(w,3)", "(w,4)", "(w,2)", "(w,6)"]


def test_a_store_that_is_being_closed_is_left_out(partitions: Partitions, out: io.StringIO) -> None:
    partitions.own(0)
    partitions.own(1)
    partitions.flush(1, b"w")
    partitions.owned[1].store.close()
    partitions.flush(0, b"w")
    assert out.getvalue().split() == ["(w,1)", "(w,1)"]


def test_what_a_torn_flush_had_counted_already_has_no_second_line(
    partitions: Partitions, out: io.StringIO
) -> None:
    partitions.own(0)
    partitions.flush(0, b"w w")
    partitions.flush(0, b"w x w w", ahead=2)
    assert out.getvalue().split() == ["(w,1)", "(w,2)", "(x,1)", "(w,3)"]


def test_memory_does_not_grow_with_the_words_that_were_printed(
    partitions: Partitions, out: io.StringIO
) -> None:
    partitions.own(0)

    def many(start: int) -> bytes:
        return b" ".join(b"word-%d" % number for number in range(start, start + 2000))

    partitions.flush(0, many(0))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for turn in range(1, 11):
            partitions.flush(0, many(turn * 2000))
            out.seek(0)
            out.truncate()
        assert tracemalloc.get_traced_memory()[0] - before < 500_000
    finally:
        tracemalloc.stop()


def test_counting_goes_on_when_nobody_reads(partitions: Partitions, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "__stdout__", Gone())
    partitions.own(0)
    partitions.flush(0, b"w")
    partitions.flush(0, b"w")
    assert unpack_row(partitions.owned[0].store.get_many([b"w"])[0]) == (2, 2)


def test_words_that_the_output_cannot_encode_are_escaped_and_no_line_is_lost(
    partitions: Partitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "__stdout__", io.TextIOWrapper(raw, "ascii"))
    partitions.own(0)
    partitions.flush(0, "東京 w \u202e".encode())
    assert raw.getvalue().split() == [rb"(\u6771\u4eac,1)", b"(w,1)", rb"(\u202e,1)"]
