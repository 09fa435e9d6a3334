"""A damaged manifest of a store is refused at once, where RocksDB itself would read it for ever."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from rocksdict import Cache

from tables.errors import StoreCorruptedError
from tables.model.rows import Marker, StoreState
from tables.store.manifest import check_manifest
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row


def at(position: int) -> StoreState:
    marker = Marker(topic="texts", profile="unicode/1", origin=0, position=position)
    return StoreState(marker=marker, examined=position, max_upto=position)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a closed store of some flushes."""
    folder = tmp_path / "0"
    for position in range(1, 4):
        store = PartitionStore(folder, Cache(1 << 20))
        store.commit(store.stage([b"word"], [pack_row(position, position)]), at(position))
        store.close()
    return folder


def manifest_of(folder: Path) -> Path:
    return folder / (folder / "CURRENT").read_text("ascii").strip()


def types_of(log: bytes) -> list[int]:
    """Where the types of its records are; it is smaller than a block."""
    places, at = [], 0
    while at + 7 <= len(log):
        places.append(at + 6)
        at += 7 + int(struct.unpack_from("<H", log, at + 4)[0])
    return places


def test_a_record_of_a_type_that_is_read_for_ever_is_damage(folder: Path) -> None:
    manifest = manifest_of(folder)
    whole = manifest.read_bytes()
    places = types_of(whole)
    assert len(places) > 2
    for place in places:
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            manifest.write_bytes(damaged)
            if damaged[place] <= 4:
                check_manifest(folder)
                continue
            with pytest.raises(StoreCorruptedError, match=f"{manifest.name} has the type {damaged[place]}"):
                PartitionStore(folder, Cache(1 << 20))
    manifest.write_bytes(whole)
    store = PartitionStore(folder, Cache(1 << 20))
    assert store.state == at(3)
    store.close()


@pytest.mark.parametrize("torn", [0, 1, 6, 7, 50])
def test_what_rocksdb_reports_itself_is_left_to_it(folder: Path, torn: int) -> None:
    manifest = manifest_of(folder)
    manifest.write_bytes(manifest.read_bytes()[:torn])
    check_manifest(folder)
    manifest.unlink()
    check_manifest(folder)
    (folder / "CURRENT").write_bytes(b"\xff")
    check_manifest(folder)


def test_space_taken_in_advance_and_further_blocks_are_read_too(folder: Path) -> None:
    manifest = manifest_of(folder)
    whole = manifest.read_bytes()
    space = bytes((32 << 10) - len(whole))
    manifest.write_bytes(whole + space + struct.pack("<IHB", 0, 0, 1))
    check_manifest(folder)
    manifest.write_bytes(whole + space + struct.pack("<IHB", 0, 0, 5))
    with pytest.raises(StoreCorruptedError, match="type 5"):
        check_manifest(folder)
