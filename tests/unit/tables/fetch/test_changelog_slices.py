"""Batches of a changelog become `ChangelogSlice`s."""

from collections.abc import Iterator

from tables.fetch.changelog_unpacker import ChangelogUnpacker
from tables.model.records import ChangelogSlice
from tests.fakes.record_batches import kafka_batch, legacy, plain
from tests.unit.tables.fetch.responses import response


def test_a_changelog_may_have_records_of_former_formats() -> None:
    [part] = changelog_slices(legacy(1, 0, 0, b"1"), legacy(1, 1, 1, b"2", b"3"), plain(3, b"4"), position=2)
    assert (part.keys.to_pylist(), part.values.to_pylist(), part.next_offset) == (
        [b"k", b""],
        [b"3", b"4"],
        4,
    )


def changelog_slices(*batches: bytes, position: int) -> Iterator[ChangelogSlice]:
    return iter(response(ChangelogUnpacker(), *batches, position=position))


def test_a_changelog_batch_becomes_keys_and_values() -> None:
    batch = kafka_batch(3, {3: b"1", 5: b"2"}, 7, keys=[b"x", b"y"])
    [part] = changelog_slices(batch, position=3)
    assert (part.keys.to_pylist(), part.values.to_pylist(), part.next_offset) == (
        [b"x", b"y"],
        [b"1", b"2"],
        7,
    )


def test_the_batches_of_a_response_become_one_slice() -> None:
    batches = [kafka_batch(3, {3: b"1"}, 4, keys=[b"x"]), kafka_batch(4, {5: b"2"}, 6, keys=[b"y"])]
    [part] = changelog_slices(*batches, position=3)
    assert (part.keys.to_pylist(), part.values.to_pylist(), part.next_offset) == (
        [b"x", b"y"],
        [b"1", b"2"],
        6,
    )


def test_changelog_records_below_the_position_are_left_out() -> None:
    batch = kafka_batch(3, {3: b"1", 5: b"2"}, 7, keys=[b"x", b"y"])
    [part] = changelog_slices(batch, position=4)
    assert (part.keys.to_pylist(), part.values.to_pylist(), part.next_offset) == ([b"y"], [b"2"], 7)


def test_a_changelog_record_without_key_or_value_is_shown_as_empty() -> None:
    [part] = changelog_slices(plain(0, None), position=0)
    assert (part.keys.to_pylist(), part.values.to_pylist()) == ([b""], [b""])
