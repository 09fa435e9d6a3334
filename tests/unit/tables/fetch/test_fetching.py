"""Batches of the input become `RecordBatch`es, in transactions, with holes and in former formats; wrong ones become errors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from aiokafka.consumer import fetcher

from tables.fetch import fetching
from tables.fetch.batches import KafkaBatches
from tables.fetch.changelog_unpacker import ChangelogUnpacker
from tables.fetch.fetching import UnreadableBatchError
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tests.fakes.record_batches import (
    ABORT,
    CODECS,
    COMMIT,
    UNDECODABLE,
    end_of_transaction,
    end_offset,
    kafka_batch,
    legacy,
    plain,
    undecodable,
)
from tests.unit.tables.fetch.responses import TP, assert_joined, fetch, records, response

UNPACKERS = [
    RecordBatchUnpacker,
    pytest.param(partial(RecordBatchUnpacker, with_times=True), id="with times"),
    ChangelogUnpacker,
]


@pytest.mark.parametrize("codec", range(5), ids=CODECS)
def test_a_contiguous_batch_becomes_one_array_without_offsets(codec: int) -> None:
    values = [b"some text " * 20, b"", None, "größe".encode()]
    [batch] = fetch(plain(7, *values, codec=codec), position=7)
    assert batch.values.to_pylist() == values
    assert (batch.first_offset, batch.next_offset, batch.offsets) == (7, 11, None)


def test_a_fetch_may_begin_inside_a_batch() -> None:
    [batch] = fetch(plain(0, b"a", b"b", b"c", b"d"), position=2)
    assert (batch.first_offset, batch.next_offset) == (2, 4)
    assert records([batch]) == {2: b"c", 3: b"d"}


def test_holes_of_compaction_keep_every_record_at_its_offset() -> None:
    batches = fetch(
        plain(0, b"a", b"b"),
        kafka_batch(2, {3: b"d", 6: b"g"}, 8),
        plain(10, b"k"),
        position=0,
    )
    assert_joined(batches, 0, 11)
    assert records(batches) == {0: b"a", 1: b"b", 3: b"d", 6: b"g", 10: b"k"}


def test_a_fetch_may_begin_in_a_hole_or_after_some_records_of_a_compacted_batch() -> None:
    for position in range(2, 8):
        batches = fetch(kafka_batch(2, {3: b"d", 6: b"g"}, 8), position=position)
        assert_joined(batches, position, 8)
        assert records(batches) == {o: v for o, v in {3: b"d", 6: b"g"}.items() if o >= position}


def test_a_batch_that_compaction_emptied_still_moves_the_position() -> None:
    [batch] = fetch(kafka_batch(4, {}, 9), position=4)
    assert (batch.record_count, batch.first_offset, batch.next_offset) == (0, 4, 9)


def test_control_batches_hold_no_records_but_move_the_position() -> None:
    batches = fetch(
        kafka_batch(0, {0: b"a"}, 1, producer_id=5, transactional=True),
        end_of_transaction(1, 5, COMMIT),
        plain(2, b"c"),
        end_of_transaction(3, 6, COMMIT),
        position=0,
        committed_only=True,
    )
    assert_joined(batches, 0, 4)
    assert records(batches) == {0: b"a", 2: b"c"}


def test_aborted_transactions_are_left_out_and_all_others_are_delivered() -> None:
    log = [
        kafka_batch(0, {0: b"aborted"}, 1, producer_id=5, transactional=True),
        kafka_batch(1, {1: b"of another"}, 2, producer_id=6, transactional=True),
        plain(2, b"without a transaction"),
        end_of_transaction(3, 5, ABORT),
        end_of_transaction(4, 6, COMMIT),
        kafka_batch(5, {5: b"aborted"}, 6, producer_id=6, transactional=True),
        end_of_transaction(6, 6, ABORT),
    ]
    batches = fetch(*log, position=0, committed_only=True, aborted=[(6, 5, 6), (5, 0, 3)])
    assert_joined(batches, 0, 7)
    assert records(batches) == {1: b"of another", 2: b"without a transaction"}


def test_a_producer_commits_after_it_aborted_in_the_same_response() -> None:
    log = [
        kafka_batch(0, {0: b"aborted"}, 1, producer_id=5, transactional=True),
        end_of_transaction(1, 5, ABORT),
        kafka_batch(2, {2: b"committed"}, 3, producer_id=5, transactional=True),
        end_of_transaction(3, 5, COMMIT),
    ]
    batches = fetch(*log, position=0, committed_only=True, aborted=[(5, 0, 1)])
    assert records(batches) == {2: b"committed"}


def test_read_uncommitted_delivers_aborted_records_too() -> None:
    log = [
        kafka_batch(0, {0: b"aborted"}, 1, producer_id=5, transactional=True),
        end_of_transaction(1, 5, ABORT),
    ]
    assert records(fetch(*log, position=0)) == {0: b"aborted"}


@pytest.mark.parametrize("unpacker", UNPACKERS)
def test_a_wrong_checksum_is_refused_after_what_came_before_it_was_delivered(
    unpacker: Callable[[], Any],
) -> None:
    broken = bytearray(plain(2, b"c"))
    broken[-2] ^= 1
    part = response(unpacker(), plain(0, b"a", b"b"), bytes(broken), position=0)
    assert [item.next_offset for item in part] == [2]
    assert part.next_fetch_offset == 2
    with pytest.raises(
        UnreadableBatchError, match=r"input partition 0: the record batch at offset 2 is corrupt$"
    ):
        list(response(unpacker(), bytes(broken), position=2))


def test_the_parsing_agrees_with_that_of_aiokafka() -> None:
    log = [
        plain(0, b"a", None, codec=3),
        kafka_batch(2, {3: b"d"}, 5),
        kafka_batch(5, {5: b"e"}, 6, producer_id=5, transactional=True),
        end_of_transaction(6, 5, ABORT),
        kafka_batch(7, {7: b"f", 9: b"h"}, 10, producer_id=5, transactional=True),
        end_of_transaction(10, 5, COMMIT),
        plain(11, b"l"),
    ]
    for position in range(12):
        kept = [b for b in log if end_offset(b) > position]
        known = [(5, 5)] if position <= 6 else []
        theirs = response(None, *kept, position=position, committed_only=True, aborted=known)
        ours = fetch(*kept, position=position, committed_only=True, aborted=[(5, 5, 6)])
        assert records(ours) == {record.offset: record.value for record in theirs}


@pytest.mark.parametrize("unpacker", UNPACKERS)
@pytest.mark.parametrize("name", UNDECODABLE)
def test_whatever_is_wrong_with_a_batch_is_an_error_of_that_batch_after_what_precedes_it(
    name: str, unpacker: Callable[[], Any]
) -> None:
    wrong = undecodable(name)
    with pytest.raises(
        UnreadableBatchError, match=r"input partition 0: the record batch at offset 0 cannot be decoded"
    ):
        list(response(unpacker(), wrong, position=0))
    before = plain(-2, b"a", b"b")
    part = response(unpacker(), before, wrong, position=-2)
    assert [(item.record_count, part.next_fetch_offset) for item in part] == [(2, 0)]


def test_records_of_former_formats_are_delivered() -> None:
    values = [b"old", None, b"", b"text"]
    log = b"".join(
        [legacy(0, 0, 0, *values), legacy(1, 1, 4, *values), legacy(0, 1, 8, *values), plain(12, b"new")]
    )
    for position in range(13):
        part = response(RecordBatchUnpacker(), log, position=position)
        batches = [item for item in part if not item.is_pause]
        assert_joined(batches, position, 13)
        truth = {offset: values[offset % 4] for offset in range(12)} | {12: b"new"}
        assert records(batches) == {offset: value for offset, value in truth.items() if offset >= position}


def test_other_consumers_see_ordinary_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    fetching.install()
    fetching.install()
    part = fetcher.PartitionRecords(
        TP, KafkaBatches(plain(4, b"a")), [], 4, None, None, True, fetcher.READ_COMMITTED
    )
    assert [(record.offset, record.value) for record in part] == [(4, b"a")]
