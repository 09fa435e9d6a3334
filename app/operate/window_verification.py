"""Verification of windows: the counts of panes in the changelog are compared with a recount of the input topic.

What a marker says of windows holds at its position, so that workers may continue to count. The recount begins with the clock of the
marker where its rules begin to hold (`ruled_from`, `ruled_clock`); panes that may have records of before are left out, because other
rules judged these. Each live row is compared at the offset up to which it counts, and so are clock, late and untimed records.

If there are more than `MOST_COUNTS` counts, they are compared in parts, each by a read of both topics of its own.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from app.operate.compared_topics import empty_replay, parted, selected
from app.operate.recount import TimeOf
from app.operate.repeat_recount import RepeatRecount
from app.operate.window_recount import MOST_COUNTS, Chosen, Part, TooManyCountsError, WindowRecount
from tables.errors import InexactError
from tables.model.event_clock import EventClock
from tables.model.names import MARKER_KEY
from tables.model.rows import Marker, unpack_row
from tables.model.windows import Pane, WindowState, pane_of

if TYPE_CHECKING:
    from app.operate.compared_topics import ComparedTopics

MOST_DIFFERENCES: Final = 10_000
"""Most differences of a partition that are kept; the others are only counted."""

MOST_PARTS: Final = 1024
"""Most parts in which the counts of a partition are compared: each takes a read of both topics."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WindowDifference:
    """A count of a word in a window that differs; 0 = the word is missing in the window there.

    Attributes:
        size_s: length of the window in seconds.
        start: beginning of the window, inclusive, RFC 3339 in UTC.
        confirmed: whether the log has confirmed the time of the window.
        word: the word.
        counted, recounted: its count in the changelog, and in the recount.
    """

    size_s: int
    start: str
    confirmed: bool
    word: str
    counted: int
    recounted: int


@dataclass(frozen=True, slots=True)
class VerifiedWindows:
    """The result of comparing the windows of one partition.

    Attributes:
        begin, position: the compared counts cover the offsets [begin, position) of the input partition.
        windows: number of windows of which a count was compared; at least so many, if the counts were compared in parts.
        counts: number of counts, each of a word in a window, that were compared.
        left_out: number of windows, as for `windows`, that were not compared, because former rules may have counted them in part.
        differing: number of counts that differ.
        differences: the first `MOST_DIFFERENCES` of them, by window and word.
        totals: what differs between marker and recount of stream time, late and untimed records; "" = they agree.
        impossible: why the windows could not be compared; "" = they were compared.
    """

    begin: int = 0
    position: int = 0
    windows: int = 0
    counts: int = 0
    left_out: int = 0
    differing: int = 0
    differences: Sequence[WindowDifference] = ()
    totals: str = ""
    impossible: str = ""

    @property
    def differs(self) -> bool:
        return bool(self.differing or self.totals)


async def verified_windows(topics: ComparedTopics, partition: int, word: str | None) -> VerifiedWindows:
    """Compare the windows of one partition.

    Args:
        topics: the topics.
        partition: number of the partition.
        word: compare only the counts of this word; None = of all words.
    """
    found: list[VerifiedWindows] = []
    waiting = [Part()]
    while waiting:
        part = waiting.pop()
        try:
            found.append(await _verified(topics, partition, word, part))
        except TooManyCountsError:
            if part.of == MOST_PARTS:
                return VerifiedWindows(
                    impossible=f"more than {MOST_COUNTS * MOST_PARTS:,} counts: choose one by --word"
                )
            waiting += part.halves()
            continue
        if found[-1].impossible:
            break
    return _together(found)


async def _verified(topics: ComparedTopics, partition: int, word: str | None, part: Part) -> VerifiedWindows:
    end = await topics.changelog_end(partition)
    marker, rows = await asyncio.to_thread(_read, topics, partition, end, word, part)
    if marker is None or marker.windows is None:
        return VerifiedWindows(
            impossible="no windows are counted: WORDCOUNT_WINDOWS is empty, or nothing was counted since"
        )
    compared = WindowComparison(marker, marker.windows, part, rows)
    begin, position, last = marker.windows.ruled_from, marker.position, compared.last
    nothing = VerifiedWindows(begin, position)
    if begin == position == last:
        return nothing
    # Which records repeat others is known only from the first record on.
    first = begin if marker.ids is None else marker.origin
    if problem := topics.problem(await topics.input_now(partition), marker, first, last):
        return replace(nothing, impossible=problem)
    try:
        time_of, repeats = TimeOf(topics.settings, marker.windows.time_source), RepeatRecount(marker.ids)
        async for record in topics.source.records(partition, first, last):
            if repeats.is_repeat(record.record_id) or record.offset < begin:
                continue
            words = topics.definition(record.value).words
            chosen = words if word is None else [one for one in words if one == word]
            compared.take(record.offset, time_of(record), Counter(chosen))
    except InexactError as error:
        return replace(nothing, impossible=str(error))
    return compared.result()


def _read(
    topics: ComparedTopics, partition: int, end: int, word: str | None, part: Part
) -> tuple[Marker | None, dict[bytes, bytes]]:
    """Return the last marker of a changelog partition, and of the rows of windows the best one per key.

    Raises:
        TooManyCountsError: the part has too many rows.
    """
    replay = empty_replay(topics.owner)
    rows: dict[bytes, bytes] = {}
    wanted = None if word is None else word.encode()
    for read in topics.reader.read(partition, 0, end):
        others, panes = parted(read)
        replay.apply(selected(others, pc.equal(others.keys, MARKER_KEY)))
        for key, value in zip(panes.keys.to_pylist(), panes.values.to_pylist(), strict=True):
            if part.of > 1 or wanted is not None:
                pane, of = _pane_of(key)
                if (wanted is not None and of != wanted) or not part.has(pane, of):
                    continue
            if not value:
                # Only what counts no longer is removed.
                rows.pop(key, None)
            elif key not in rows or unpack_row(rows[key])[1] <= unpack_row(value)[1]:
                rows[key] = value
        if len(rows) > MOST_COUNTS:
            _remove_dead(rows, replay.marker)
    return replay.marker, rows


def _remove_dead(rows: dict[bytes, bytes], marker: Marker | None) -> None:
    """Remove rows that count no longer by a marker before the last one. Raise TooManyCountsError if that is less than half of all."""
    if marker is not None and marker.windows is not None:
        for key in list(rows):
            pane, _ = _pane_of(key)
            is_ahead = pane.epoch is not None and pane.epoch >= marker.position
            if not is_ahead and not marker.windows.is_kept(pane):
                del rows[key]
    if len(rows) > MOST_COUNTS // 2:
        raise TooManyCountsError


def _pane_of(key: bytes) -> tuple[Pane, bytes]:
    try:
        return pane_of(key)
    except struct.error:
        raise InexactError(
            f"the changelog holds the key {key!r}, which is neither a word nor a word in a window",
            "find out what else writes to the changelog topic",
        ) from None


class WindowComparison:
    """Compares the rows of one partition with a recount that is given the records of its input.

    Args:
        marker: last marker of the partition.
        state: the windows of the marker.
        part: the counts that are compared.
        rows: key -> best row of each word in a window, of this part. They are taken out.

    Attributes:
        last: offset up to which records have to be taken, exclusive.
    """

    def __init__(self, marker: Marker, state: WindowState, part: Part, rows: dict[bytes, bytes]) -> None:
        self._marker = marker
        self._state = state
        self._chosen = Chosen(state, part)
        self._recount = WindowRecount(state, self._chosen)
        self._counts: dict[Pane, dict[str, int]] = defaultdict(dict)
        """Counts of the rows up to the position."""
        self._ahead: dict[int, dict[tuple[Pane, str], int]] = defaultdict(dict)
        """Offset beyond the position -> counts of the rows that count up to there."""
        self._panes: set[Pane] = set()
        self._left_out: set[Pane] = set()
        self._compared = 0
        self._differences: list[WindowDifference] = []
        self._differing = 0
        self._totals = ""
        self._sort(rows)
        self._uptos = sorted({marker.position, *self._ahead}, reverse=True)
        """Offsets at which rows are still to be compared, the nearest last."""
        self.last = self._uptos[0]

    def take(self, offset: int, time_ms: int, words: Mapping[str, int]) -> None:
        """Take the next record, see `WindowRecount.take`."""
        self._compare_up_to(offset)
        self._recount.take(offset, time_ms, words)

    def result(self) -> VerifiedWindows:
        """Return the result, after all records were taken."""
        self._compare_up_to(self.last)
        return VerifiedWindows(
            self._state.ruled_from,
            self._marker.position,
            len(self._panes),
            self._compared,
            len(self._left_out),
            self._differing,
            self._differences,
            self._totals,
        )

    def _sort(self, rows: dict[bytes, bytes]) -> None:
        while rows:
            key, value = rows.popitem()
            pane, word = _pane_of(key)
            count, upto = unpack_row(value)
            if not self._state.is_live(pane, upto):
                continue
            if self._chosen.is_left_out(pane):
                self._left_out.add(pane)
                continue
            if upto <= self._marker.position:
                self._counts[pane][word.decode()] = count
            else:
                self._ahead[upto][pane, word.decode()] = count

    def _compare_up_to(self, offset: int) -> None:
        """Compare the rows that count up to `offset` or less."""
        while self._uptos and self._uptos[-1] <= offset:
            upto = self._uptos.pop()
            if upto == self._marker.position:
                self._compare_position()
                continue
            for (pane, word), count in self._ahead[upto].items():
                self._compare(pane, word, count, self._recount.count(pane, word))

    def _compare_position(self) -> None:
        """Compare everything that the marker says, and every row that is not ahead of it."""
        ahead = {key for rows in self._ahead.values() for key in rows}
        found = self._recount.counts()
        for pane in sorted(self._counts.keys() | found.keys(), key=lambda pane: pane.prefix):
            if not self._chosen.has_pane(pane):
                continue
            counts, recounted = self._counts.get(pane, {}), found.get(pane, {})
            for word in sorted(counts.keys() | recounted.keys()):
                if (pane, word) not in ahead:
                    self._compare(pane, word, counts.get(word, 0), recounted.get(word, 0))
        self._totals = _differing_totals(self._marker, self._state, self._recount)

    def _compare(self, pane: Pane, word: str, count: int, recounted: int) -> None:
        self._panes.add(pane)
        self._compared += 1
        if count == recounted:
            return
        self._differing += 1
        if len(self._differences) < MOST_DIFFERENCES:
            start = time_text(pane.start_s * 1000)
            self._differences.append(
                WindowDifference(pane.size_s, start, pane.epoch is None, word, count, recounted)
            )


def time_text(ms: int) -> str:
    """Return milliseconds since 1970 as RFC 3339 in UTC, with milliseconds unless they are 0."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds" if ms % 1000 else "seconds") + "Z"


def _differing_totals(marker: Marker, state: WindowState, recount: WindowRecount) -> str:
    differing = []
    if state.clock != recount.clock:
        differing.append(f"event time {_clock_text(state.clock)} (recount {_clock_text(recount.clock)})")
    # The totals of the marker begin at its origin. Of what former rules counted, the recount knows nothing.
    is_whole = state.ruled_from == marker.origin
    for name, said, truth in (
        ("late", marker.late, recount.late),
        ("untimed", marker.untimed, recount.untimed),
    ):
        if is_whole and said != truth:
            differing.append(f"{name} {said} (recount {dict(truth)})")
        elif any(said.get(reason, 0) < count for reason, count in truth.items()):
            differing.append(f"{name} {said} (recount, from offset {state.ruled_from} on, {dict(truth)})")
    return ", ".join(differing)


def _clock_text(clock: EventClock) -> str:
    text = "none" if clock.stream_ms is None else time_text(clock.stream_ms)
    if (jump := clock.jump) is None:
        return text
    times = f"{time_text(jump.low_ms)} to {time_text(jump.high_ms)}"
    return f"{text} and {jump.records} records from offset {jump.epoch} on at {times}"


def _together(parts: Sequence[VerifiedWindows]) -> VerifiedWindows:
    """Return the result of all parts. Each was compared up to an own position, the last one up to the largest."""
    last = parts[-1]
    return replace(
        last,
        windows=max(part.windows for part in parts),
        counts=sum(part.counts for part in parts),
        left_out=max(part.left_out for part in parts),
        differing=sum(part.differing for part in parts),
        differences=[one for part in parts for one in part.differences][:MOST_DIFFERENCES],
        totals=next((part.totals for part in parts if part.totals), ""),
    )
