"""A shard counts windows on a real store: whatever the rules were in the meantime, the rows that count are those of a recount."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import structlog

from agents.text.choices import Policies
from agents.text.tally import RecordTally
from agents.text.tokenizer import tokenizer
from agents.text.value_format import value_format
from bench.hot_path import open_shard
from tables.errors import InexactError
from tables.model.event_clock import CONFIRMING_RECORDS
from tables.model.names import FORMAT_VERSION, WINDOWED_VERSION
from tables.model.records import RecordBatch
from tables.model.rows import RowColumns, unpack_row
from tables.model.windows import END_OF_PANES, FIRST_PANE_KEY, CountedSize, SizeRule, WindowRules, pane_of
from tables.partitions import expiry as expiry_module
from tables.partitions.restore import Restore
from tables.partitions.shard import Shard

T = 1_735_732_800
MINUTE = WindowRules((SizeRule(60, 0, 120),))
TALLY = RecordTally(tokenizer("whitespace"), value_format("text", ""), Policies())

Texts = Sequence[tuple[int, bytes]]
"""Seconds after T and text of each record."""


def ruled(shard: Shard, rules: WindowRules, dropped: frozenset[int] = frozenset()) -> None:
    shard.services = replace(shard.services, windows=rules, dropped_sizes=dropped)


async def counted(shard: Shard, texts: Texts) -> None:
    assert shard.add([batch_of(shard.next, texts)])
    await shard.flush()


def batch_of(first: int, texts: Texts) -> RecordBatch:
    values = pa.array([text for _, text in texts], pa.binary())
    times = np.array([(T + seconds) * 1000 for seconds, _ in texts], np.int64)
    return RecordBatch(values, first, first + len(texts), times=times)


async def torn_flush(shard: Shard, texts: Texts) -> None:
    """Leave the rows of a flush in the store without its marker, as a restore brings them from the changelog."""
    batch = batch_of(shard.next, texts)
    counted = await asyncio.to_thread(shard._count, [batch])
    staged = await asyncio.to_thread(
        shard.store.stage, counted.rows.key_column(), counted.rows.value_column()
    )
    state = msgspec.structs.replace(shard.store.state, max_upto=batch.next_offset)
    await asyncio.to_thread(shard.store.commit, staged, state)


def stored(shard: Shard) -> dict[tuple[int, int], dict[bytes, int]]:
    """Return the counts that count, by size and seconds after T."""
    assert shard.marker is not None
    found: dict[tuple[int, int], dict[bytes, int]] = {}
    for key, row in rows_of(shard):
        pane, word = pane_of(key)
        count, upto = unpack_row(row)
        if shard.marker.windows is not None and shard.marker.windows.is_live(pane, upto):
            found.setdefault((pane.size_s, pane.start_s - T), {})[word] = count
    return found


def rows_of(shard: Shard) -> list[tuple[bytes, bytes]]:
    return [row for part in shard.store.slices(FIRST_PANE_KEY, END_OF_PANES) for row in part]


async def test_windows_have_the_words_of_their_time_and_totals_have_all() -> None:
    with open_shard(TALLY, 1000) as shard:
        ruled(shard, WindowRules((SizeRule(60, 0, 600), SizeRule(120, 60, 600))))
        await Restore(shard).run()
        await counted(shard, [(0, b"a b"), (59, b"a"), (61, b"c"), (5, b"late")])
        await counted(shard, [(62, b"c"), (130, b"d")])
        assert stored(shard) == {
            (60, 0): {b"a": 2, b"b": 1},
            (60, 60): {b"c": 2},
            (60, 120): {b"d": 1},
            (120, 0): {b"a": 2, b"b": 1, b"c": 2, b"late": 1},
            (120, 120): {b"d": 1},
        }
        assert shard.store.state.totals.late == {"60": 1}
        assert shard.store.state.totals.words == 7
        assert {word for part in shard.store.slices() for word, _ in part} == {
            b"a",
            b"b",
            b"c",
            b"d",
            b"late",
        }


async def test_a_store_that_never_had_windows_stays_readable_to_earlier_programs() -> None:
    with open_shard(TALLY, 1000) as shard:
        await Restore(shard).run()
        await counted(shard, [(0, b"a")])
        assert shard.marker is not None
        assert (shard.marker.version, shard.marker.windows) == (FORMAT_VERSION, None)
        ruled(shard, MINUTE)
        await counted(shard, [(0, b"a")])
        ruled(shard, WindowRules())
        await counted(shard, [(0, b"a")])
        assert (shard.marker.version, shard.marker.windows) == (WINDOWED_VERSION, None)


async def test_rows_that_count_no_longer_leave_store_and_changelog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry_module, "ROWS_PER_FLUSH", 3)
    monkeypatch.setattr(expiry_module, "SLICE_ROWS", 2)
    with open_shard(TALLY, 1000) as shard:
        ruled(shard, MINUTE)
        await Restore(shard).run()
        packed: list[tuple[bytes, bytes | None]] = []
        pack = shard.services.changelog.pack

        def kept(first: Any, rows: RowColumns, last: Any) -> object:
            packed.extend([*first, *rows.records(), *last])
            return pack(first, rows, last)

        monkeypatch.setattr(shard.services.changelog, "pack", kept)
        for minute in range(4):
            await counted(shard, [(60 * minute, b"a b c d")])
        await counted(shard, [(700, b"z"), (700, b"z")])
        assert stored(shard) == {(60, 660): {b"z": 2}}
        shard.look_for_expired()
        flushes = 0
        while shard.is_clearing:
            await shard.flush()
            flushes += 1
        assert 4 <= flushes <= 8
        assert len(rows_of(shard)) == 1
        written = {key for key, value in packed if value and key >= FIRST_PANE_KEY}
        latest = dict(packed)
        assert {key for key in written if key < END_OF_PANES and latest[key]} == {rows_of(shard)[0][0]}
        assert stored(shard) == {(60, 660): {b"z": 2}}
        assert shard.store.state.totals.records == 6


async def test_records_after_a_quiet_week_count_before_and_after_their_time_is_confirmed() -> None:
    week = 7 * 24 * 3600
    with open_shard(TALLY, 1000) as shard:
        ruled(shard, MINUTE)
        await Restore(shard).run()
        await counted(shard, [(0, b"a"), (0, b"a")])
        await counted(shard, [(week, b"b")])
        assert stored(shard) == {(60, 0): {b"a": 2}, (60, week): {b"b": 1}}
        await counted(shard, [(week, b"b")] * (CONFIRMING_RECORDS - 2))
        await Restore(shard).run()
        assert stored(shard) == {(60, 0): {b"a": 2}, (60, week): {b"b": CONFIRMING_RECORDS - 1}}
        await counted(shard, [(week, b"c")])
        assert stored(shard) == {(60, week): {b"b": CONFIRMING_RECORDS - 1, b"c": 1}}
        assert shard.marker is not None
        assert shard.marker.windows is not None
        assert shard.marker.windows.stream_ms == (T + week) * 1000


async def test_a_size_that_was_forgotten_is_not_removed() -> None:
    with open_shard(TALLY, 1000) as shard:
        ruled(shard, MINUTE)
        await Restore(shard).run()
        await counted(shard, [(0, b"a"), (1, b"a")])
        ruled(shard, WindowRules(), dropped=frozenset([300]))
        with pytest.raises(InexactError, match=r"1m apart.*WORDCOUNT_DROP_WINDOWS=1m"):
            await Restore(shard).run()
        assert stored(shard) == {(60, 0): {b"a": 2}}
        ruled(shard, WindowRules((*MINUTE.sizes, SizeRule(300, 0, 600))))
        await Restore(shard).run()
        assert stored(shard) == {(60, 0): {b"a": 2}}


async def test_what_an_operator_has_to_know_of_is_logged() -> None:
    with open_shard(TALLY, 1000) as shard, structlog.testing.capture_logs() as logs:
        ruled(shard, WindowRules((SizeRule(60, 0, 7 * 86_400),)))
        await Restore(shard).run()
        await counted(shard, [(0, b"a"), (1, b"a")])
        await counted(shard, [(86_401, b"a")])
        assert not logs
        await counted(shard, [(200_000, b"a")] * CONFIRMING_RECORDS)
        assert [(one["event"], one["by"]) for one in logs] == [
            ("stream time moved ahead by more than the longest jump", "113599s")
        ]
        logs.clear()
        ruled(shard, WindowRules((SizeRule(60, 0, 2 * 86_400),)))
        await counted(shard, [(200_000, b"a")])
        await counted(shard, [(200_000, b"a")])
        (found,) = logs
        assert (found["log_level"], found["size"], found["retention"], found["before"]) == (
            "warning",
            "1m",
            "2d",
            "7d",
        )


async def test_a_size_that_comes_back_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_shard(TALLY, 1000) as shard:
        for rules, expected in (
            (MINUTE, {(60, 0): {b"a": 1}}),
            (WindowRules(), {}),
            (MINUTE, {(60, 0): {b"a": 1}}),
            (
                WindowRules((SizeRule(60, 5, 600), SizeRule(300, 0, 600))),
                {(60, 0): {b"a": 2}, (300, 0): {b"a": 1}},
            ),
        ):
            ruled(shard, rules, frozenset([60]))
            await Restore(shard).run()
            await counted(shard, [(0, b"a")])
            if expected and shard.marker and shard.marker.windows and shard.marker.windows.jump is not None:
                await counted(shard, [(0, b"")])
            assert stored(shard) == expected


@pytest.mark.parametrize(
    "rules",
    [
        WindowRules((SizeRule(60, 600, 1200),)),
        WindowRules((SizeRule(60, 0, 120), SizeRule(300, 0, 600))),
        WindowRules((SizeRule(60, 0, 120),), 3_600_000),
        WindowRules((SizeRule(60, 0, 120),), time_source="/at"),
        WindowRules(),
    ],
)
async def test_rows_of_a_torn_flush_are_not_counted_by_other_rules(rules: WindowRules) -> None:
    """Rows ahead of the position were counted by the rules of the marker, which stay until the position has reached them."""
    with open_shard(TALLY, 1000) as shard:
        ruled(shard, MINUTE)
        await Restore(shard).run()
        await counted(shard, [(0, b"a"), (1, b"a")])
        torn = [(70, b"a"), (30, b"late"), (80, b"b")]
        await torn_flush(shard, torn)
        ruled(shard, rules, dropped=frozenset([60]))
        await Restore(shard).run()
        assert shard.store.state.exact_position is None
        await counted(shard, torn[:1])
        assert shard.marker is not None
        kept = rules.time_source == MINUTE.time_source and bool(rules.sizes)
        assert (shard.marker.windows is not None) == kept
        if kept:
            assert shard.marker.windows is not None
            assert shard.marker.windows.rules == MINUTE
        await counted(shard, torn[1:])
        assert shard.store.state.exact_position == shard.position
        assert stored(shard) == ({(60, 0): {b"a": 2}, (60, 60): {b"a": 1, b"b": 1}} if kept else {})
        if rules.time_source == "record":
            await counted(shard, [(90, b"c"), (91, b"c")])
            windows = shard.marker.windows
            assert (WindowRules() if windows is None else windows.rules) == rules


async def test_a_longer_jump_holds_only_when_none_is_pending() -> None:
    with open_shard(TALLY, 1000) as shard:
        ruled(shard, WindowRules((SizeRule(60, 0, 86_400 * 9),)))
        await Restore(shard).run()
        week = 7 * 86_400
        await counted(shard, [(0, b"a"), (0, b"a"), (week, b"b")])
        ruled(shard, WindowRules((SizeRule(60, 0, 86_400 * 9),), 30 * 86_400_000))
        await counted(shard, [(week, b"b")])
        assert stored(shard)[60, week] == {b"b": 2}
        await counted(shard, [(week, b"b")] * CONFIRMING_RECORDS)
        await counted(shard, [(week, b"b")])
        assert stored(shard)[60, week] == {b"b": CONFIRMING_RECORDS + 3}
        assert shard.marker is not None
        assert shard.marker.windows is not None
        assert shard.marker.windows.max_jump_ms == 30 * 86_400_000


async def test_windows_that_begin_before_they_were_switched_on_are_not_whole() -> None:
    with open_shard(TALLY, 1000) as shard:
        await Restore(shard).run()
        await counted(shard, [(0, b"a"), (61, b"a")])
        ruled(shard, MINUTE)
        await counted(shard, [(62, b"a")])
        assert sizes(shard)[0].since_ms is None
        await counted(shard, [(63, b"a"), (125, b"a")])
        assert sizes(shard) == (CountedSize(MINUTE.sizes[0], 2, (T + 125) * 1000),)
        two = WindowRules((*MINUTE.sizes, SizeRule(300, 0, 600)))
        await counted(shard, [(86_400 * 3, b"a")])
        ruled(shard, two)
        await counted(shard, [(86_400 * 3, b"a")])
        assert sizes(shard)[1].since_ms == (T + 86_400 * 3) * 1000


def sizes(shard: Shard) -> Sequence[CountedSize]:
    assert shard.marker is not None
    assert shard.marker.windows is not None
    return shard.marker.windows.sizes


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_comes_the_windows_are_those_of_a_recount(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    monkeypatch.setattr(expiry_module, "ROWS_PER_FLUSH", 5)
    rules = WindowRules((SizeRule(10, random.choice([0, 7]), 40), SizeRule(30, 0, 90)))
    with open_shard(TALLY, random.choice([3, 1000])) as shard:
        ruled(shard, rules)
        await Restore(shard).run()
        truth: dict[tuple[int, int], Counter[bytes]] = {}
        stream = now = 0
        await counted(shard, [(0, b""), (0, b"")])
        for _ in range(25):
            texts = []
            for _ in range(random.randint(1, 6)):
                now += random.choice([0, 1, 4, 11])
                at = max(0, now - random.choice([0, 0, 3, 15, 60]))
                text = b" ".join(random.choices([b"a", b"b", b"c", b"d", b"e"], k=random.randint(0, 3)))
                for rule in rules.sizes:
                    start = at // rule.size_s * rule.size_s
                    if start + rule.size_s + rule.grace_s > stream:
                        truth.setdefault((rule.size_s, start), Counter()).update(text.split())
                stream = max(stream, at)
                texts.append((at, text))
            await counted(shard, texts)
            if random.random() < 0.2:
                await Restore(shard).run()
            expected = {
                (size, start): dict(words)
                for (size, start), words in truth.items()
                for rule in rules.sizes
                if words and rule.size_s == size
                if start + size + rule.grace_s + rule.retention_s > stream
            }
            assert stored(shard) == expected
