"""The times of the records of any log of batches are those that aiokafka reads, whichever way the batches are parsed."""

from __future__ import annotations

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from tables.fetch import batches as kafka_batches
from tables.fetch import record_unpacker
from tables.fetch.record_unpacker import RecordBatchUnpacker
from tests.fakes.record_batches import kafka_batch, legacy
from tests.unit.tables.fetch.responses import response, timed

USUAL_MS = st.integers(0, 2 * 10**12) | st.just(-1)
ANY_MS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.none() | st.binary(max_size=20)
LEGACY_CODECS = {0: [0, 1, 2], 1: [0, 1, 2, 3]}


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[bytes], int]:
    """Return adjacent batches of any formats from offset 0 on, and the offset after the last batch."""
    batches, base = [], 0
    for _ in range(draw(st.integers(1, 4))):
        magic = draw(st.sampled_from([2, 2, 1, 0]))
        append_ms = draw(st.none() | USUAL_MS) if magic else None
        records = draw(st.lists(st.tuples(VALUES, USUAL_MS), min_size=1, max_size=6))
        values, times = [value for value, _ in records], [time_ms for _, time_ms in records]
        if magic < 2:
            codec = draw(st.sampled_from(LEGACY_CODECS[magic]))
            batches.append(legacy(magic, codec, base, *values, times=times, append_ms=append_ms))
            base += len(records)
            continue
        gaps = draw(
            st.lists(st.sampled_from([0, 0, 0, 1, 5]), min_size=len(records) + 1, max_size=len(records) + 1)
        )
        offsets = [base + i + sum(gaps[: i + 1]) for i in range(len(records))]
        end = offsets[-1] + 1 + gaps[-1]
        batches.append(
            kafka_batch(
                base,
                dict(zip(offsets, values, strict=True)),
                end,
                codec=draw(st.integers(0, 4)),
                times=times,
                base_ms=draw(st.none() | ANY_MS),
                append_ms=append_ms,
            )
        )
        base = end
    return batches, base


@pytest.mark.parametrize("in_parts", [False, True])
@given(st.data(), logs())
def test_times_are_those_that_aiokafka_reads(
    in_parts: bool, draw: st.DataObject, log: tuple[list[bytes], int]
) -> None:
    batches, end = log
    truth = {}
    # aiokafka reads all batches of a response as if they had the format of the first.
    for batch in batches:
        theirs = MemoryRecords(batch)
        while theirs.has_next():
            for record in theirs.next_batch():
                truth[record.offset] = (
                    record.value,
                    -1 if record.timestamp is None else record.timestamp,
                )
    start = position = draw.draw(st.integers(0, end - 1))
    unpacker, items = RecordBatchUnpacker(with_times=True), []
    with pytest.MonkeyPatch.context() as patch:
        if in_parts:
            patch.setattr(kafka_batches, "WHOLE_RECORDS", 0)
            patch.setattr(record_unpacker, "PART_RECORDS", 2)
        # A response is left before the first batch with a hole, and fetched again.
        for _ in range(2):
            if position < end:
                part = response(unpacker, *batches, position=position)
                items += list(part)
                position = part.next_fetch_offset
    assert position == end
    assert timed(items) == {offset: pair for offset, pair in truth.items() if offset >= start}
