"""Rows of windows as a changelog and the stores of stopped workers have them, compared with what is true."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rocksdict import AccessType, Options, Rdict

from tables.kafka.changelog_reader import ChangelogReader
from tables.model.names import MARKER_KEY, STATE_KEY
from tables.model.rows import Marker, StoreState, decode_marker, decode_state, unpack_row
from tables.model.windows import Pane
from tests.chaos.windowed import Cell, WindowTruth
from tests.integration.worker import end_offsets

READ_TIMEOUT_S = 30.0
FIRST_KEY, LAST_KEY = b"\xfc", b"\xfe"


@dataclass
class Compared:
    """Numbers of what was compared, and the first differences."""

    counts: int = 0
    differing: int = 0
    some: list[str] = field(default_factory=list)

    def compare(self, where: str, marker: Marker, rows: Mapping[bytes, bytes], truth: WindowTruth) -> None:
        """Compare the rows that count by `marker` with the truth at its position."""
        assert marker.windows is not None, f"{where}: the marker has windows"
        found: dict[Cell, int] = {}
        for key, value in rows.items():
            cell = cell_of(key)
            count, upto = unpack_row(value)
            if marker.windows.is_live(Pane(*cell[:3]), upto):
                found[cell] = count
        said = marker.windows.clock, (marker.late, marker.untimed)
        if said != (right := (truth.clock(), truth.late_and_untimed())):
            self._differs(f"{where}: {said} for {right}")
        true = truth.counts()
        self.counts += len(true)
        for cell in sorted(true.keys() | found.keys(), key=str):
            if found.get(cell, 0) != true.get(cell, 0):
                self._differs(f"{where}: {cell}: {found.get(cell, 0)} for {true.get(cell, 0)}")

    def __str__(self) -> str:
        return f"{self.differing} of {self.counts} counts of windows differ: {'; '.join(self.some)}"

    async def compare_changelog(
        self, servers: str, topic: str, ends: Mapping[int, int], truths: Mapping[int, WindowTruth]
    ) -> bool:
        """Compare a changelog; return False if a marker is not at the end of its partition, as after a late request.

        Args:
            servers: address of the broker.
            topic: the changelog.
            ends: end offset of each partition of the input.
            truths: what is true there; empty = nothing is compared.
        """
        read = {}
        for number, end in (await end_offsets(servers, topic)).items() if truths else ():
            marker, rows = await asyncio.to_thread(_in_changelog, servers, topic, number, end)
            if marker is None or marker.position != ends[number]:
                return False
            read[number] = marker, rows
        for number, (marker, rows) in read.items():
            self.compare(f"changelog {number}", marker, rows, truths[number])
        return True

    def compare_stores(
        self, folders: Iterable[Path], ends: Mapping[int, int], truths: Mapping[int, WindowTruth]
    ) -> set[int]:
        """Compare the stores that have all records of their partition; return the numbers of these partitions.

        Args:
            folders: folders of closed stores; the name of a store is the number of its partition.
            ends: end offset of each partition.
            truths: what is true there.
        """
        compared: set[int] = set()
        for folder in folders:
            if not (folder / "CURRENT").exists():
                continue
            number = int(folder.name)
            state, rows = _in_store(folder)
            if state is not None and state.marker is not None and state.exact_position == ends[number]:
                self.compare(f"store {folder}", state.marker, rows, truths[number])
                compared.add(number)
        return compared

    def _differs(self, what: str) -> None:
        self.differing += 1
        if len(self.some) < 8:
            self.some.append(what)


def cell_of(key: bytes) -> Cell:
    """Return what the key of a row of a window says."""
    if key[:1] == b"\xfd":
        size_s, start_s = struct.unpack_from(">IQ", key, 1)
        return Cell(size_s, start_s, None, key[13:])
    epoch, size_s, start_s = struct.unpack_from(">QIQ", key, 1)
    return Cell(size_s, start_s, epoch, key[21:])


def _in_changelog(
    servers: str, topic: str, partition: int, end: int
) -> tuple[Marker | None, dict[bytes, bytes]]:
    """Return the last marker of a changelog partition, and the rows with the largest `upto`."""
    marker: Marker | None = None
    rows: dict[bytes, bytes] = {}
    reader = ChangelogReader(topic, {"bootstrap_servers": servers}, READ_TIMEOUT_S)
    for part in reader.read(partition, 0, end) if end else ():
        for key, value in zip(part.keys.to_pylist(), part.values.to_pylist(), strict=True):
            if key == MARKER_KEY:
                marker = decode_marker(value)
            elif (
                FIRST_KEY <= key < LAST_KEY
                and value
                and (key not in rows or unpack_row(rows[key])[1] <= unpack_row(value)[1])
            ):
                rows[key] = value
    return marker, rows


def _in_store(folder: Path) -> tuple[StoreState | None, dict[bytes, bytes]]:
    """Return state and rows of windows of a store that nobody has open."""
    rows: dict[bytes, bytes] = {}
    store = Rdict(str(folder), Options(raw_mode=True), access_type=AccessType.read_only())
    try:
        value = store.get(STATE_KEY)
        for key, row in store.items(from_key=FIRST_KEY):
            if key >= LAST_KEY:
                break
            rows[key] = row
    finally:
        store.close()
    return None if value is None else decode_state(value), rows
