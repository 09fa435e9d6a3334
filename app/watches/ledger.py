"""The ledger: what is known of each watch, and the records of the topic of watches that say so durably. Pure.

A record of a watch says from which window on it is looked at. A record of a crossing says what was found and what became of it. Of
records with one key the last one counts; a record without a value says that there is nothing to remember. So the topic can be
compacted, and whoever owns the watches next goes on from it.

A crossing is recorded before its window is left behind, and forgotten after: until then it is found again and again, and the ledger
says that it is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal

import msgspec

from app.config.watches import Watch
from app.watch_bodies import MOST_RECENT, CrossingState
from app.watches.crossing import Crossing, crossing_id, watch_key

FORMAT: Final = 1
"""Version of the records. Records of another version are left alone."""

MOST_KNOWN: Final = 20_000
"""Most crossings of one watch that are remembered; a further one is left out until windows are left behind."""

RETIRED_S: Final = 7 * 86_400
"""How long records of a watch stay that is in the file no more: workers may have different files while they are replaced."""

_WATCH: Final = b"watch:"
_CROSSING: Final = b"crossing:"


class WatchRecord(msgspec.Struct, frozen=True, tag="watch"):
    """From where on a watch is looked at.

    Attributes:
        watch: `watch_key` of the watch.
        since_s: beginning of the first window that is looked at still; None = a total.
        changed_s: when the record was made, in seconds since 1970.
        format: `FORMAT` of the writer.
    """

    watch: str
    since_s: int | None
    changed_s: int
    format: int = FORMAT


class CrossingRecord(msgspec.Struct, frozen=True, tag="crossing"):
    """A crossing, and what became of it.

    Attributes:
        watch: `watch_key` of the watch.
        crossing: the crossing.
        state: what became of it.
        changed_s: when the record was made, in seconds since 1970.
        format: `FORMAT` of the writer.
    """

    watch: str
    crossing: Crossing
    state: CrossingState
    changed_s: int
    format: int = FORMAT


_decoder = msgspec.json.Decoder(WatchRecord | CrossingRecord)


@dataclass(slots=True)
class Page:
    """What is known of one watch.

    Attributes:
        watch: the watch.
        key: its `watch_key`.
        since_s: beginning of the first window that is looked at still; None = it was never looked at, or is a total.
        known: beginning of a window -> ids of its crossings that are remembered; None = the total.
        waiting: id of each crossing that is still to be delivered -> the crossing, oldest first.
    """

    watch: Watch
    key: str
    since_s: int | None = None
    known: dict[int | None, set[str]] = field(default_factory=dict)
    waiting: dict[str, Crossing] = field(default_factory=dict)

    def count_in(self, start_s: int | None) -> int:
        """Return how many crossings of a window are known."""
        return len(self.known.get(start_s, ()))

    @property
    def is_full(self) -> bool:
        """Whether no further crossing may be remembered."""
        return sum(map(len, self.known.values())) >= MOST_KNOWN


@dataclass(frozen=True, slots=True)
class Recent:
    """A crossing of late, and what became of it."""

    watch: Watch
    crossing: Crossing
    state: CrossingState


class Ledger:
    """What is known of all watches.

    Args:
        watches: the watches of the file.

    Attributes:
        pages: `watch_key` -> what is known of the watch.
        recent: id -> one of the newest crossings, oldest first.
    """

    def __init__(self, watches: Sequence[Watch]) -> None:
        self.pages = {key: Page(watch, key) for watch in watches for key in [watch_key(watch)]}
        self.recent: dict[str, Recent] = {}
        self._unwritten: dict[bytes, bytes | None] = {}

    def load(self, records: Mapping[bytes, bytes], now_s: int) -> None:
        """Take over what the topic says, in its order. Records of watches that are gone for `RETIRED_S` are to be forgotten."""
        for key, value in records.items():
            record = _decoded(value)
            if record is None:
                continue
            page = self.pages.get(record.watch)
            if page is None:
                if record.changed_s < now_s - RETIRED_S:
                    self._write(key, None)
            elif isinstance(record, WatchRecord):
                page.since_s = record.since_s
            else:
                self._remember(page, key.removeprefix(_CROSSING).decode(), record.crossing, record.state)

    def found(self, page: Page, crossings: Iterable[Crossing], most: int) -> tuple[int, int]:
        """Note crossings that are not known yet, as long as at most `most` of their window are known.

        Return how many were noted, and how many were left out.
        """
        noted = left_out = 0
        for crossing in crossings:
            name = crossing_id(page.watch, crossing.word, crossing.start_s)
            if name in page.known.get(crossing.start_s, ()):
                continue
            if page.count_in(crossing.start_s) >= most or page.is_full:
                left_out += 1
                continue
            noted += 1
            self._remember(page, name, crossing, "waiting")
            self._write_crossing(page, name, crossing, "waiting", crossing.found_s)
        return noted, left_out

    def settle(self, page: Page, name: str, state: Literal["delivered", "given_up"], now_s: int) -> None:
        """Note that a crossing that was waiting waits no more."""
        crossing = page.waiting[name]
        self._remember(page, name, crossing, state)
        self._write_crossing(page, name, crossing, state, now_s)
        if _is_before(crossing.start_s, page.since_s):
            self._forget(page, crossing.start_s, [name])

    def look_from(self, page: Page, since_s: int | None, now_s: int) -> None:
        """Note from which window on a watch is looked at, and forget the crossings of windows before, unless they wait."""
        page.since_s = since_s
        self._write(_WATCH + page.key.encode(), msgspec.json.encode(WatchRecord(page.key, since_s, now_s)))
        for start_s in [start_s for start_s in page.known if _is_before(start_s, since_s)]:
            self._forget(page, start_s, [name for name in page.known[start_s] if name not in page.waiting])

    def unwritten(self, most: int) -> Mapping[bytes, bytes | None]:
        """Return records that are not written yet, in their order, the first `most` of them."""
        return dict(islice(self._unwritten.items(), most))

    def written(self, records: Mapping[bytes, bytes | None]) -> None:
        """Note that records are written. What has changed since is still to be written."""
        for key, value in records.items():
            if key in self._unwritten and self._unwritten[key] is value:
                del self._unwritten[key]

    def _remember(self, page: Page, name: str, crossing: Crossing, state: CrossingState) -> None:
        page.known.setdefault(crossing.start_s, set()).add(name)
        if state == "waiting":
            page.waiting[name] = crossing
        else:
            page.waiting.pop(name, None)
        self.recent.pop(name, None)
        self.recent[name] = Recent(page.watch, crossing, state)
        while len(self.recent) > MOST_RECENT:
            del self.recent[next(iter(self.recent))]

    def _forget(self, page: Page, start_s: int | None, names: Sequence[str]) -> None:
        for name in names:
            page.known[start_s].discard(name)
            self._write(_CROSSING + name.encode(), None)
        if not page.known[start_s]:
            del page.known[start_s]

    def _write_crossing(
        self, page: Page, name: str, crossing: Crossing, state: CrossingState, now_s: int
    ) -> None:
        value = msgspec.json.encode(CrossingRecord(page.key, crossing, state, now_s))
        self._write(_CROSSING + name.encode(), value)

    def _write(self, key: bytes, value: bytes | None) -> None:
        self._unwritten.pop(key, None)
        self._unwritten[key] = value


def _is_before(start_s: int | None, since_s: int | None) -> bool:
    return start_s is not None and since_s is not None and start_s < since_s


def _decoded(value: bytes) -> WatchRecord | CrossingRecord | None:
    """Return the record; None = it cannot be read, because it is of another version or of somebody else."""
    try:
        record: WatchRecord | CrossingRecord = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record if record.format == FORMAT else None
