"""The windows that `wordcount verify` counts record by record are those of the worker's arrays, wherever batches are cut."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.operate.window_recount import Chosen, Part, WindowRecount
from tables.model.event_clock import MISSING, UNREADABLE
from tables.model.windowing import group_records
from tables.model.windows import Pane, SizeRule, WindowRules, WindowState, begun
from tests.chaos import windowed

BASE_MS = 1_700_000_000_000
JUMP_MS = 10_000
SIZES = (SizeRule(1, 0, 2), SizeRule(5, 2, 30), SizeRule(60, 0, 0))

_STEPS = st.sampled_from(
    [0, 300, 999, 1000, 4000, 9_999, 10_000, 10_001, 25_000, -700, -3000, -9_000, -60_000]
)
_WILD = st.sampled_from(
    [MISSING, UNREADABLE, -77, 5, BASE_MS + 10**9, BASE_MS + 10**9 + JUMP_MS, 10**15, BASE_MS]
)
_TIME = st.one_of(_STEPS, _STEPS, _STEPS, _WILD)
TIMES = st.lists(_TIME, max_size=8) | st.lists(_TIME, min_size=80, max_size=400)
"""Steps from the time before, and times that are far away or none."""

CUTS = st.lists(st.integers(0, 400), max_size=8)


def times_of(steps: Sequence[int]) -> list[int]:
    """Return the time of each record; steps of less than two minutes go on from the last time that was near."""
    times, now_ms = [], BASE_MS
    for step in steps:
        if step in {MISSING, UNREADABLE, -77, 5} or step > 120_000:
            times.append(step)
        else:
            now_ms += step
            times.append(now_ms)
    return times


def counted(
    state: WindowState, times: Sequence[int], offsets: Sequence[int], cuts: Sequence[int]
) -> tuple[WindowState, dict[Pane, Counter[int]], Counter[str], Counter[str]]:
    """Return windows, live panes, late and untimed records as a worker has them that flushes at each cut; a record is its own word."""
    panes: dict[Pane, Counter[int]] = defaultdict(Counter)
    late, untimed = Counter[str](), Counter[str]()
    bounds = sorted({0, len(times), *(cut for cut in cuts if cut < len(times))})
    for start, end in itertools.pairwise(bounds):
        grouped = group_records(state, np.array(times[start:end]), np.array(offsets[start:end]))
        late.update(grouped.late)
        untimed.update(grouped.untimed)
        if grouped.confirmed:
            assert state.jump is not None
            for pane in [pane for pane in panes if pane.epoch == state.jump.epoch]:
                panes[pane.confirmed] += panes.pop(pane)
        for group in grouped.groups:
            members = range(end - start) if group.indices is None else group.indices.tolist()
            for pane in group.panes:
                panes[pane].update(offsets[start + member] for member in members)
        state = state.at(grouped.clock)
        panes = defaultdict(Counter, {pane: counts for pane, counts in panes.items() if state.is_kept(pane)})
    return state, panes, late, untimed


def recounted(state: WindowState, times: Sequence[int], offsets: Sequence[int]) -> WindowRecount:
    recount = WindowRecount(state, Chosen(state))
    for time_ms, offset in zip(times, offsets, strict=True):
        if offset >= state.ruled_from:
            recount.take(offset, time_ms, {str(offset): 1})
    return recount


def compared(recount: WindowRecount, chosen: Chosen) -> dict[Pane, dict[int, int]]:
    return {
        pane: {int(word): count for word, count in counts.items()}
        for pane, counts in recount.counts().items()
        if chosen.has_pane(pane)
    }


@given(TIMES, CUTS, st.integers(1, 3))
def test_clock_and_panes_are_those_of_the_arrays(steps: list[int], cuts: list[int], gap: int) -> None:
    times = times_of(steps)
    offsets = [7 + gap * index for index in range(len(times))]
    state, panes, late, untimed = counted(begun(WindowRules(SIZES, JUMP_MS), 7), times, offsets, cuts)
    recount = recounted(state, times, offsets)
    assert recount.clock == state.clock
    assert (recount.late, recount.untimed) == (late, untimed)
    assert compared(recount, Chosen(state)) == panes


@given(st.lists(st.integers(0, 20), min_size=99, max_size=140), st.booleans(), CUTS)
def test_a_hundred_records_in_a_row_confirm_a_jump(
    ahead: list[int], is_refuted: bool, cuts: list[int]
) -> None:
    times = [
        BASE_MS,
        BASE_MS + 1,
        *(BASE_MS + 10**9 + step for step in ahead),
        *([BASE_MS] if is_refuted else []),
    ]
    offsets = list(range(len(times)))
    state, panes, late, untimed = counted(begun(WindowRules(SIZES, JUMP_MS), 0), times, offsets, cuts)
    recount = recounted(state, times, offsets)
    assert (recount.clock, recount.late, recount.untimed) == (state.clock, late, untimed)
    assert compared(recount, Chosen(state)) == panes


@given(TIMES, st.booleans(), TIMES, CUTS)
def test_after_a_change_of_rules_all_panes_are_compared_that_the_former_rules_did_not_touch(
    before: list[int], jumps: bool, after: list[int], cuts: list[int]
) -> None:
    if jumps:
        before.append(BASE_MS + 10**9)
    times = times_of([*before, *after])
    offsets = list(range(len(times)))
    change = len(before)
    state, former, *_ = counted(
        begun(WindowRules(SIZES[:2], JUMP_MS), 0), times[:change], offsets[:change], cuts
    )
    rules = WindowRules((SizeRule(1, 1, 5), *SIZES[1:]), 2 * JUMP_MS)
    ruled = state.ruled_by(rules, change)
    state, panes, late, untimed = counted(ruled, times[change:], offsets[change:], cuts)
    recount = recounted(state, times, offsets)
    chosen = Chosen(state)
    assert (recount.clock, recount.late, recount.untimed) == (state.clock, late, untimed)
    assert compared(recount, chosen) == {
        pane: counts for pane, counts in panes.items() if chosen.has_pane(pane)
    }
    # Panes that are compared have no record of before; the size that was added has none at all.
    assert not any(chosen.has_pane(pane.confirmed) for pane in former)
    assert not any(chosen.is_left_out(pane) for pane in panes if pane.size_s == 60)


@given(st.integers(0, 10**6), st.integers(0, 1500))
@settings(max_examples=30)
def test_chaos_runs_know_the_same_windows(seed: int, records: int) -> None:
    """Event time is told three times: in the worker's arrays, in the recount of `verify`, and in the truth of chaos runs."""
    times = windowed.Times(seed).of_chunk(records)
    sizes = tuple(SizeRule(size_s, windowed.GRACE_S, windowed.RETENTION_S) for size_s in windowed.SIZES_S)
    offsets = range(records)
    rules = WindowRules(sizes, windowed.MAX_JUMP_MS)
    state, panes, late, untimed = counted(begun(rules, 0), times, offsets, range(0, records, 77))
    truth, recount = windowed.WindowTruth(), recounted(state, times, offsets)
    for offset, time_ms in enumerate(times):
        truth.take(offset, time_ms, [str(offset).encode()])
    assert truth.clock() == state.clock == recount.clock
    assert truth.late_and_untimed() == (late, untimed) == (recount.late, recount.untimed)
    cells = {
        windowed.Cell(*pane, str(offset).encode()): count
        for pane, counts in panes.items()
        for offset, count in counts.items()
    }
    assert truth.counts() == cells


@given(st.integers(0, 10**6), st.integers(1, 500), st.text(), st.integers(0, 6))
def test_every_count_is_in_one_of_the_parts(start_s: int, size_s: int, word: str, splits: int) -> None:
    parts = [Part()]
    for _ in range(splits):
        parts = [half for part in parts for half in part.halves()]
    pane = Pane(size_s, start_s)
    assert sum(part.has(pane, word.encode()) for part in parts) == 1
    assert [part.has(pane, word.encode()) for part in parts] == [
        part.has(pane._replace(epoch=3), word.encode()) for part in parts
    ]
