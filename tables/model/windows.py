"""Windows of event time: their sizes and rules, the keys of their rows, and which rows still count. Pure.

A *pane* is one tumbling window of one size. The count of a word in a pane is a row like any other; only its key differs (ADR 15): a
prefix that begins no word, then the word. A hopping window is made of panes, which are added up when somebody asks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tables.model.event_clock import EventClock, Jump

PANE_BYTE: Final = b"\xfd"
"""First byte of the key of a pane's row. No UTF-8 text begins with it, and it sorts after every word and before the state."""

UNCONFIRMED_BYTE: Final = b"\xfc"
"""First byte of the key of a row of a pane whose time the log has not confirmed yet (`tables.model.event_clock`)."""

FIRST_PANE_KEY: Final = UNCONFIRMED_BYTE
"""Every word sorts before this key, and every row of a pane does not."""

END_OF_PANES: Final = b"\xfe"
"""Every row of a pane sorts before this key."""

NOTE_BYTE: Final = b"\xfe"
"""First byte of the key of the note of a pane (`tables.top.pane_leaders`), which is in the store only; the pane's prefix follows."""

KeyRange = tuple[bytes, bytes]
"""First key, inclusive, and last key, exclusive."""


class Cleared(NamedTuple):
    """Rows that are removed because they count no longer.

    Attributes:
        ranges: ranges of keys that have these rows, and no rows that count.
        rows: number of these rows, about: some may have been removed before.
    """

    ranges: Sequence[KeyRange]
    rows: int


NOTHING_CLEARED: Final = Cleared((), 0)

_PANE: Final = struct.Struct(">cIQ")
_UNCONFIRMED: Final = struct.Struct(">cQIQ")
PANE_PREFIX_BYTES: Final = _PANE.size
UNCONFIRMED_PREFIX_BYTES: Final = _UNCONFIRMED.size


class Pane(NamedTuple):
    """One tumbling window.

    Attributes:
        size_s: length in seconds.
        start_s: beginning in seconds since 1970, inclusive; a multiple of `size_s`.
        epoch: offset of the record that began the jump to this time, while the log has not confirmed the jump; None = confirmed.
    """

    size_s: int
    start_s: int
    epoch: int | None = None

    @property
    def end_s(self) -> int:
        """End in seconds since 1970, exclusive."""
        return self.start_s + self.size_s

    @property
    def prefix(self) -> bytes:
        """What the keys of the rows of this pane begin with; the word follows."""
        if self.epoch is None:
            return _PANE.pack(PANE_BYTE, self.size_s, self.start_s)
        return _UNCONFIRMED.pack(UNCONFIRMED_BYTE, self.epoch, self.size_s, self.start_s)

    @property
    def note_key(self) -> bytes:
        """Key of the pane's note. Notes sort after all rows and before the state."""
        return NOTE_BYTE + self.prefix

    @property
    def confirmed(self) -> Pane:
        """This pane, as it is once the log has confirmed its time."""
        return self._replace(epoch=None)


def is_pane_key(key: bytes) -> bool:
    """Return whether `key` is the key of a row of a pane, confirmed or not."""
    return key[:1] in {PANE_BYTE, UNCONFIRMED_BYTE}


def pane_of(key: bytes) -> tuple[Pane, bytes]:
    """Return the pane and the word of a key for which `is_pane_key` is true. Raises struct.error if the key is too short."""
    if key[:1] == PANE_BYTE:
        _, size_s, start_s = _PANE.unpack_from(key)
        return Pane(size_s, start_s), key[PANE_PREFIX_BYTES:]
    _, epoch, size_s, start_s = _UNCONFIRMED.unpack_from(key)
    return Pane(size_s, start_s, epoch), key[UNCONFIRMED_PREFIX_BYTES:]


def epoch_prefix(epoch: int) -> bytes:
    """Return what the keys of all rows of the jump begin with that the record with offset `epoch` began."""
    return UNCONFIRMED_BYTE + struct.pack(">Q", epoch)


def size_prefix(size_s: int) -> bytes:
    """Return what the keys of all rows of confirmed panes of `size_s` seconds begin with."""
    return PANE_BYTE + struct.pack(">I", size_s)


class SizeRule(msgspec.Struct, frozen=True):
    """Rules of the panes of one size.

    Attributes:
        size_s: length of a pane in seconds, from 1 to `LONGEST_SIZE_S`.
        grace_s: seconds of stream time after the end of a pane during which late records are still counted in it, >= 0.
        retention_s: seconds of stream time for which a pane is kept after its grace, >= 0.
    """

    size_s: int
    grace_s: int
    retention_s: int

    def is_closed(self, start_s: int, stream_ms: int | None) -> bool:
        """Return whether the pane that begins at `start_s` takes no more records at stream time `stream_ms` (None = no time yet)."""
        return stream_ms is not None and (start_s + self.size_s + self.grace_s) * 1000 <= stream_ms

    def first_kept_s(self, stream_ms: int | None) -> int:
        """Return the beginning of the oldest pane that is not expired at stream time `stream_ms`; 0 without a time."""
        if stream_ms is None:
            return 0
        # The smallest multiple of the size whose end, with grace and retention, is beyond the stream time.
        kept_s = stream_ms // 1000 - self.size_s - self.grace_s - self.retention_s
        return max(0, (kept_s // self.size_s + 1) * self.size_s)


class WindowRules(msgspec.Struct, frozen=True):
    """Configured rules of windows.

    Attributes:
        sizes: one rule per size of a pane, ascending by size; () = no windows are counted.
        max_jump_ms: see `tables.model.event_clock`.
        time_source: `record`, or the JSON Pointer to the time in a value.
    """

    sizes: tuple[SizeRule, ...] = ()
    max_jump_ms: int = 24 * 3600 * 1000
    time_source: str = "record"


class CountedSize(msgspec.Struct, frozen=True):
    """A size that a partition counts.

    Attributes:
        rule: rules of its panes.
        since: source offset from which on records are counted in panes of this size. Rows up to this offset are of an earlier time
            in which the size was counted; they are dead.
        since_ms: time up to which records may have come before that offset; None = there were none, if `since` is 0, else not known
            yet. A pane that begins before is not whole.
        kept_from_s: beginning of the oldest pane that former rules kept: a longer retention brings nothing back.
    """

    rule: SizeRule
    since: int
    since_ms: int | None
    kept_from_s: int = 0

    def first_kept_s(self, stream_ms: int | None) -> int:
        """Return the beginning of the oldest pane whose rows still count at stream time `stream_ms`."""
        return max(self.kept_from_s, self.rule.first_kept_s(stream_ms))


class WindowState(msgspec.Struct, frozen=True, kw_only=True):
    """What a marker says of the windows of its partition.

    Attributes:
        clock: event time at the position of the marker.
        sizes: the sizes that are counted, ascending.
        max_jump_ms, time_source: see `WindowRules`.
        ruled_from: source offset from which on these rules hold.
        ruled_clock: event time at that offset. Whoever counts again begins with it there.
    """

    clock: EventClock
    sizes: tuple[CountedSize, ...]
    max_jump_ms: int
    time_source: str
    ruled_from: int
    ruled_clock: EventClock

    @property
    def rules(self) -> WindowRules:
        """The rules by which the partition is counted."""
        return WindowRules(tuple(size.rule for size in self.sizes), self.max_jump_ms, self.time_source)

    @property
    def stream_ms(self) -> int | None:
        """Stream time in milliseconds since 1970; None = no record had a time yet."""
        return self.clock.stream_ms

    @property
    def jump(self) -> Jump | None:
        """The jump that the log has not confirmed yet; None = there is none."""
        return self.clock.jump

    def size(self, size_s: int) -> CountedSize | None:
        """Return the size of `size_s` seconds; None = it is not counted."""
        return next((size for size in self.sizes if size.rule.size_s == size_s), None)

    def dead_ranges(self) -> list[KeyRange]:
        """Return the ranges of keys whose rows count no longer, in ascending order."""
        live: list[KeyRange] = []
        if self.jump is not None:
            live.append((epoch_prefix(self.jump.epoch), epoch_prefix(self.jump.epoch + 1)))
        for size in self.sizes:
            size_s = size.rule.size_s
            first = Pane(size_s, size.first_kept_s(self.stream_ms)).prefix
            live.append((first, size_prefix(size_s + 1)))
        ends = [FIRST_PANE_KEY, *(end for _, end in live)]
        starts = [*(start for start, _ in live), END_OF_PANES]
        return [(end, start) for end, start in zip(ends, starts, strict=True) if end < start]

    def is_kept(self, pane: Pane) -> bool:
        """Return whether rows of `pane` still count: it is not expired, and its jump is not refuted."""
        size = self.size(pane.size_s)
        if size is None:
            return False
        if pane.epoch is not None:
            return self.jump is not None and self.jump.epoch == pane.epoch
        return pane.start_s >= size.first_kept_s(self.stream_ms)

    def is_live(self, pane: Pane, upto: int) -> bool:
        """Return whether a row of `pane` that counts up to the source offset `upto` still counts."""
        size = self.size(pane.size_s)
        return size is not None and upto > size.since and self.is_kept(pane)

    def panes_at(self, size_s: int, starts: range) -> list[tuple[int, Pane]]:
        """Return the panes whose rows count in windows of `size_s` seconds, each after the place of its beginning in `starts`.

        They are in the order of the keys of their rows. A window has none if the size is not counted, or if the window is expired or
        ahead of all times. While a jump is pending, the rows of its records are apart; a window that has the stream time in it may
        have both.
        """
        size, jump = self.size(size_s), self.jump
        if size is None:
            return []
        panes: list[tuple[int, Pane]] = []
        if jump is not None:
            panes = [
                (place, Pane(size_s, start_s, jump.epoch))
                for place, start_s in enumerate(starts)
                if start_s * 1000 <= jump.high_ms and jump.low_ms < (start_s + size_s) * 1000
            ]
        return panes + [(place, Pane(size_s, starts[place])) for place in self.places_at(size_s, starts)]

    def places_at(self, size_s: int, starts: range) -> range:
        """Return the places in `starts`, which ascend, of the panes of `panes_at` that belong to no jump."""
        size = self.size(size_s)
        if size is None or self.stream_ms is None:
            return range(0)
        first_s, last_s = size.first_kept_s(self.stream_ms), self.stream_ms // 1000
        first = max(0, -((starts.start - first_s) // starts.step))
        return range(first, max(first, min(len(starts), (last_s - starts.start) // starts.step + 1)))

    def ruled_by(self, rules: WindowRules, position: int) -> WindowState:
        """Return the state with the configured `rules` from the source offset `position` on.

        While a jump is pending, the longest jump stays: by a longer one, the next record would refute what it is to confirm.
        """
        if self.jump is not None:
            rules = msgspec.structs.replace(rules, max_jump_ms=self.max_jump_ms)
        if rules == self.rules:
            return self
        if rules.time_source != self.time_source:
            return begun(rules, position)
        former = {size.rule.size_s: size for size in self.sizes}
        sizes = tuple(
            CountedSize(rule, kept.since, kept.since_ms, kept.first_kept_s(self.stream_ms))
            if (kept := former.get(rule.size_s)) is not None
            else CountedSize(rule, position, self._latest_ms)
            for rule in rules.sizes
        )
        return WindowState(
            clock=self.clock,
            sizes=sizes,
            max_jump_ms=rules.max_jump_ms,
            time_source=rules.time_source,
            ruled_from=position,
            ruled_clock=self.clock,
        )

    @property
    def _latest_ms(self) -> int | None:
        """The largest time of the records so far, also of those of a jump; None = no record had a time."""
        times = [self.stream_ms, None if self.jump is None else self.jump.high_ms]
        return max((time_ms for time_ms in times if time_ms is not None), default=None)

    def at(self, clock: EventClock) -> WindowState:
        """Return the state after records that bring the clock to `clock`."""
        sizes = self.sizes
        if self.stream_ms is None and clock.stream_ms is not None:
            # Of the records before the first one that was counted, no time is known: they may have been as late as this one.
            sizes = tuple(
                msgspec.structs.replace(size, since_ms=clock.stream_ms)
                if size.since and size.since_ms is None
                else size
                for size in sizes
            )
        return msgspec.structs.replace(self, clock=clock, sizes=sizes)


def begun(rules: WindowRules, position: int) -> WindowState:
    """Return the state of a partition that begins to count windows at the source offset `position`."""
    clock = EventClock()
    return WindowState(
        clock=clock,
        sizes=tuple(CountedSize(rule, position, None) for rule in rules.sizes),
        max_jump_ms=rules.max_jump_ms,
        time_source=rules.time_source,
        ruled_from=position,
        ruled_clock=clock,
    )


def lost_sizes(state: WindowState | None, rules: WindowRules) -> frozenset[int]:
    """Return the sizes, in seconds, whose counts would be removed if a partition with these windows were counted by `rules`."""
    sizes = frozenset(size.rule.size_s for size in state.sizes) if state is not None else frozenset[int]()
    if state is None or rules.time_source != state.time_source:
        return sizes
    return sizes - {rule.size_s for rule in rules.sizes}


def dead_ranges(state: WindowState | None) -> list[KeyRange]:
    """Return the ranges of keys whose rows count no longer: all rows of panes where no windows are counted."""
    return [(FIRST_PANE_KEY, END_OF_PANES)] if state is None else state.dead_ranges()


def gone_notes(before: WindowState | None, after: WindowState | None) -> list[KeyRange]:
    """Return the ranges of keys of the notes of panes that `before` kept and `after` does not."""
    kept = (
        {}
        if after is None
        else {size.rule.size_s: size.first_kept_s(after.stream_ms) for size in after.sizes}
    )
    gone: list[KeyRange] = []
    for size in before.sizes if before is not None else ():
        assert before is not None
        size_s = size.rule.size_s
        first = Pane(size_s, size.first_kept_s(before.stream_ms)).prefix
        end = Pane(size_s, kept[size_s]).prefix if size_s in kept else size_prefix(size_s + 1)
        if first < end:
            gone.append((NOTE_BYTE + first, NOTE_BYTE + end))
    return gone


def windows_at(
    state: WindowState | None, rules: WindowRules, position: int, *, rows_ahead: bool = False
) -> WindowState | None:
    """Return the windows that a flush from the source offset `position` on counts; None = it counts no windows.

    Args:
        state: windows of the marker; None = it has none.
        rules: configured rules.
        position: position of the marker.
        rows_ahead: whether some rows are ahead of the position. They were counted by the rules of the marker, which stay until the
            position has reached them: nobody could tell rows of two rules apart.
    """
    if not rules.sizes:
        return None
    if rows_ahead:
        return state if state is not None and state.time_source == rules.time_source else None
    return begun(rules, position) if state is None else state.ruled_by(rules, position)
