"""Which windows there are by the markers of all partitions: begun, closed, kept and whole ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from app.reads.answers import PartWindows
from app.reads.window_answers import Span, UnknownWindowError, WindowExpiredError, WindowSize
from tables.model.windows import CountedSize, SizeRule, WindowState

ByPartition = Mapping[int, WindowState | None]


class Choice:
    """The windows of one size in some partitions.

    Args:
        size: the size.
        windows: partition -> its windows, without partitions that have no records; None = the partition counts no windows.
        as_of: partition -> position.

    Raises:
        UnknownWindowError: no partition counts panes of this size.
    """

    def __init__(self, size: WindowSize, windows: ByPartition, as_of: Mapping[int, int]) -> None:
        self.size = size
        self._as_of = as_of
        self._lacks_size = any(
            state is None
            or (counted := state.size(size.advance_s)) is None
            or (counted.since > 0 and counted.since_ms is None)
            for state in windows.values()
        )
        """Whether a partition that has records does not count the size, or has counted no record with a time since it does."""
        self._counted: dict[int, tuple[CountedSize, int | None]] = {}
        for number, state in windows.items():
            counted = None if state is None else state.size(size.advance_s)
            if state is not None and counted is not None:
                self._counted[number] = counted, state.stream_ms
        if not self._counted:
            raise UnknownWindowError(size, pane_sizes(windows))

    @property
    def rule(self) -> SizeRule:
        """The rule of the panes; the longest grace and the shortest retention where partitions differ."""
        rules = [counted.rule for counted, _ in self._counted.values()]
        grace_s, retention_s = max(one.grace_s for one in rules), min(one.retention_s for one in rules)
        return SizeRule(self.size.advance_s, grace_s, retention_s)

    @property
    def first_kept_s(self) -> int:
        """Beginning of the oldest window that is kept in all partitions."""
        return max(counted.first_kept_s(stream_ms) for counted, stream_ms in self._counted.values())

    @property
    def whole_from_s(self) -> int | None:
        """Windows that begin before are not whole in all partitions; None = all are whole."""
        newest = self.newest_begun_s
        if self._lacks_size and newest is not None:
            return newest + self.size.advance_s
        times = [counted.since_ms for counted, _ in self._counted.values() if counted.since_ms is not None]
        if not times:
            return None
        return (max(times) // 1000 // self.size.advance_s + 1) * self.size.advance_s

    @property
    def newest_begun_s(self) -> int | None:
        """Beginning of the newest window that has begun in any partition; None = no time is known."""
        times = [stream_ms for _, stream_ms in self._counted.values() if stream_ms is not None]
        if not times:
            return None
        return max(times) // 1000 // self.size.advance_s * self.size.advance_s

    @property
    def newest_closed_s(self) -> int | None:
        """Beginning of the newest window that is closed in all partitions that have a time; None = there is none that is kept."""
        ends = [
            end
            for counted, time in self._counted.values()
            if (end := _closed_until_s(counted, time)) is not None
        ]
        if not ends:
            return None
        start_s = min(ends) - self.size.size_s
        return start_s if start_s >= self.first_kept_s else None

    @property
    def final_until_s(self) -> int | None:
        """Windows that end by then are closed in all partitions; None = there are none."""
        ends = [_closed_until_s(counted, stream_ms) for counted, stream_ms in self._counted.values()]
        if len(ends) < len(self._as_of) or None in ends:
            return None
        return min(end for end in ends if end is not None)

    @property
    def held_back_by(self) -> Mapping[int, int | None]:
        """Partitions in which fewer windows are closed than in others -> their stream time in ms since 1970; None = no time."""
        until = {
            number: _closed_until_s(*self._counted[number]) if number in self._counted else None
            for number in self._as_of
        }
        most = max((end for end in until.values() if end is not None), default=None)
        return {number: self._stream_ms(number) for number in sorted(until) if until[number] != most}

    def _stream_ms(self, number: int) -> int | None:
        return self._counted[number][1] if number in self._counted else None

    def check_kept(self, start_s: int) -> None:
        """Raise WindowExpiredError if the window that begins at `start_s` is not kept."""
        if start_s < self.first_kept_s:
            raise WindowExpiredError(self.size, start_s, self.first_kept_s, self.newest_begun_s)

    def span(self, start_s: int, end_s: int) -> Span:
        """Return what is true of a stretch of time."""
        final = [
            number
            for number, (counted, stream_ms) in sorted(self._counted.items())
            if (until := _closed_until_s(counted, stream_ms)) is not None and until >= end_s
        ]
        whole_from_s = self.whole_from_s
        return Span(
            start_s,
            end_s,
            final,
            {number: self._stream_ms(number) for number in sorted(self._as_of.keys() - set(final))},
            is_whole=whole_from_s is None or start_s >= whole_from_s,
        )


def with_records(parts: Mapping[int, PartWindows]) -> ByPartition:
    """Return the windows of each partition that has records, or has windows nevertheless."""
    return {number: one.windows for number, one in parts.items() if one.records or one.windows is not None}


def pane_sizes(windows: ByPartition) -> list[int]:
    """Return the sizes of panes in seconds that any partition counts, ascending."""
    return sorted({one.rule.size_s for state in windows.values() if state is not None for one in state.sizes})


def _closed_until_s(counted: CountedSize, stream_ms: int | None) -> int | None:
    """Return the end of the newest closed pane of a partition, also of one before all records; None = no time is known."""
    if stream_ms is None:
        return None
    return (stream_ms // 1000 - counted.rule.grace_s) // counted.rule.size_s * counted.rule.size_s
