"""Windows of records: records that count in the same panes are one group, whose words are counted once. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tables.model.event_clock import (
    MISSING,
    ORDINARY,
    REFUTED,
    UNCONFIRMED,
    UNREADABLE,
    UNTIMED,
    EventClock,
    read_times,
)
from tables.model.records import Int64Array
from tables.model.windows import Pane, SizeRule, WindowState

LEFT_OUT = ("", "missing_time", "unreadable_time", "impossible_time", "jump", "late")
"""Why a record is left out of a window: not at all, it has no time, its time cannot be read, or is not from 1990 to 9999, or jumps and
is refuted, or comes too late. The index of a reason stands for it in arrays."""

_MISSING, _UNREADABLE, _OUT_OF_RANGE, _JUMP, _LATE = range(1, len(LEFT_OUT))
_NO_PANE = -1

ReasonArray = npt.NDArray[np.int8]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Group:
    """Records whose words are counted in the same panes.

    Attributes:
        indices: indices of the records, ascending, at least one; None = all records.
        panes: the panes, at most one per size, ascending by size; () = the records are in no window.
    """

    indices: Int64Array | None
    panes: Sequence[Pane]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Records by the panes in which they count.

    Attributes:
        groups: groups that together have each record once.
        clock: the clock after the records.
        confirmed: whether the jump before the records was confirmed, so that its rows become rows of confirmed panes.
        untimed: reason -> number of records that are in no window, see `LEFT_OUT`; a refuted jump may have begun before the records.
        late: size in seconds, as text -> number of records that came too late for their pane.
        reasons: per record the index of its reason in `LEFT_OUT`.
        unconfirmed: whether the record belongs to the jump that `clock` has.
    """

    groups: Sequence[Group]
    clock: EventClock
    confirmed: bool
    untimed: Mapping[str, int]
    late: Mapping[str, int]
    reasons: ReasonArray
    unconfirmed: BoolArray


def group_records(windows: WindowState, times: Int64Array, offsets: Int64Array) -> Grouped:
    """Group adjacent records by their panes.

    Panes that are expired at the end of the records are left out: their rows would be dead.

    Args:
        windows: sizes and their rules, and the clock before the records.
        times: time of each record, see `tables.model.event_clock.read_times`.
        offsets: source offset of each record, ascending.
    """
    timed = read_times(windows.clock, times, offsets, windows.max_jump_ms)
    after, kinds = timed.clock, timed.kinds
    reasons = np.zeros(len(times), np.int8)
    if (kinds != ORDINARY).any():
        untimed = np.select([times == MISSING, times == UNREADABLE], [_MISSING, _UNREADABLE], _OUT_OF_RANGE)
        reasons = np.select([kinds == UNTIMED, kinds == REFUTED], [untimed, _JUMP], 0).astype(np.int8)
    has_window, unconfirmed = reasons == 0, kinds == UNCONFIRMED
    columns: list[Int64Array] = []
    late: dict[str, int] = {}
    for size in windows.sizes:
        rule = size.rule
        starts = times // (rule.size_s * 1000) * rule.size_s
        too_late = (kinds == ORDINARY) & ((starts + rule.size_s + rule.grace_s) * 1000 <= timed.before_ms)
        if count := int(np.count_nonzero(too_late)):
            late[str(rule.size_s)] = count
            reasons[too_late] = _LATE
        # The panes of a jump that is not confirmed are ahead of the stream time, which cannot pass them before.
        kept = unconfirmed | (starts >= size.first_kept_s(after.stream_ms))
        columns.append(np.where(has_window & ~too_late & kept, starts, _NO_PANE))
    counts = np.bincount(reasons, minlength=len(LEFT_OUT)).tolist()
    counts[_JUMP] += timed.refuted
    return Grouped(
        groups=_groups(
            [size.rule for size in windows.sizes],
            columns,
            unconfirmed,
            after.jump.epoch if after.jump is not None else None,
        ),
        clock=after,
        confirmed=timed.confirmed,
        untimed={LEFT_OUT[place]: counts[place] for place in range(1, _LATE) if counts[place]},
        late=late,
        reasons=reasons,
        unconfirmed=unconfirmed,
    )


def _groups(
    sizes: Sequence[SizeRule], columns: Sequence[Int64Array], unconfirmed: BoolArray, epoch: int | None
) -> list[Group]:
    """Return one group per combination of panes that occurs."""
    if not len(unconfirmed):
        return []
    every = [*columns, unconfirmed.astype(np.int64)]
    first = [int(column[0]) for column in every]
    if all((column == value).all() for column, value in zip(every, first, strict=True)):
        return [Group(None, _panes(sizes, first, epoch))]
    codes = np.zeros(len(unconfirmed), np.int64)
    for column in every:
        values, places = np.unique(column, return_inverse=True)
        codes = codes * len(values) + places
        # Codes are made dense again, so that they stay small whatever the number of sizes.
        codes = np.unique(codes, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order])) + 1
    return [
        Group(indices, _panes(sizes, [int(column[indices[0]]) for column in every], epoch))
        for indices in np.split(order, bounds)
    ]


def _panes(sizes: Sequence[SizeRule], values: Sequence[int], epoch: int | None) -> list[Pane]:
    """Return the panes of a record that has these values in the columns of `_groups`."""
    *starts, is_unconfirmed = values
    return [
        Pane(rule.size_s, start, epoch if is_unconfirmed else None)
        for rule, start in zip(sizes, starts, strict=True)
        if start != _NO_PANE
    ]
