"""Words are counted in the minute of their record, exactly, also over SIGKILL; late records and wrong times are in the totals only."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rocksdict import Cache

from tables.model.names import Topics, dead_letter_topic
from tables.model.rows import unpack_row
from tables.model.windows import END_OF_PANES, FIRST_PANE_KEY, pane_of
from tables.store.partition_store import PartitionStore
from tests.integration.worker import Worker, counts_of, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

NOON_MS = 1_700_000_040_000
"""The beginning of a minute of the year 2023."""

YEAR_2106_MS = 4_294_967_295_000
ANY_TIME = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
"""Configuration of a topic that takes and keeps records of any time."""

MINUTE_MS, GRACE_MS = 60_000, 6_000
Panes = Mapping[tuple[int, int], Mapping[str, int]]
"""Counts by size in seconds, and beginning in seconds after `NOON_MS`."""


def stored_panes(worker: Worker, workers: Workers, partitions: int = 1) -> Panes:
    """Return the counts of all windows that still count, over the stores of a worker that has ended."""
    panes: dict[tuple[int, int], Counter[str]] = {}
    folder = worker.state_dir / Topics.of(workers.group, workers.topic).changelog
    for number in range(partitions):
        store = PartitionStore(folder / str(number), Cache(1 << 20))
        try:
            marker = store.state.marker
            assert marker is not None
            assert marker.windows is not None
            for key, row in store.scan(FIRST_PANE_KEY, 1_000_000, end=END_OF_PANES):
                pane, word = pane_of(key)
                count, upto = unpack_row(row)
                if marker.windows.is_live(pane, upto):
                    place = (pane.size_s, pane.start_s - NOON_MS // 1000)
                    panes.setdefault(place, Counter())[word.decode()] += count
        finally:
            store.close()
    return panes


async def test_minutes_are_those_of_the_records(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, 1, ANY_TIME)
    timed = [
        (0, b"a b"),
        (59_999, b"a"),
        (61_000, b"a c"),
        (30_000, b"in-time"),  # the grace of its minute ends at 66 s
        (66_000, b"c"),
        (59_000, b"late"),
        (YEAR_2106_MS - NOON_MS, b"future"),
        (130_000, b"a"),
        (185_000, b"d"),
        (90_000, b"late"),
    ]
    worker = workers(windows="1m,2m/1m", on_late="dead_letter", on_bad_time="dead_letter")
    await kafka.produce(
        workers.topic, [text for _, text in timed], times=[NOON_MS + after for after, _ in timed]
    )
    await worker.start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    # Every record is in the totals.
    assert await counts_of([worker]) == await recount(workers.bootstrap_servers, workers.topic)
    stats = await worker.stats()
    assert (stats["records"], stats["counted"], stats["words"]) == (10, 10, 12)
    metrics = await worker.metrics_of(10)
    left_out = "wordcount_records_left_out_of_windows_total"
    # The longer grace counts, that of two minutes, so that only the last record is late.
    assert metrics[f'{left_out}{{reason="late",size="1m"}}'] == 1
    assert metrics[f'{left_out}{{reason="jump",size=""}}'] == 1
    assert metrics['wordcount_stream_time_seconds{partition="0"}'] == NOON_MS / 1000 + 185
    assert metrics['wordcount_unconfirmed_jump_records{partition="0"}'] == 0
    assert metrics['wordcount_open_panes{partition="0",size="1m"}'] == 2
    assert (await worker.stop())[0] == 0
    assert stored_panes(worker, workers) == {
        (60, 0): {"a": 2, "b": 1, "in-time": 1, "late": 1},
        (60, 60): {"a": 1, "c": 2},
        (60, 120): {"a": 1},
        (60, 180): {"d": 1},
    }
    copies = [
        (record.value, {name.removeprefix("wordcount-"): text.decode() for name, text in record.headers})
        for record in await kafka.read_all(dead_letter_topic(workers.group, workers.topic))
    ]
    assert [
        (value, copy["offset"], copy["reason"], int(copy["time-ms"]) - NOON_MS) for value, copy in copies
    ] == [
        (b"future", "6", "jump", YEAR_2106_MS - NOON_MS),
        (b"late", "9", "late", 90_000),
    ]


async def test_minutes_are_those_that_documents_name(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, 1)
    documents = [
        b'{"text": "a b", "at": "2023-11-14T22:14:00Z"}',
        b'{"text": "a", "at": 1700000050}',
        b'{"text": "a", "at": "2023-11-14T23:16:00.5+01:00"}',
        b'{"text": "no-time"}',
        b'{"text": "wrong-time", "at": "noon"}',
    ]
    await kafka.produce(workers.topic, documents)
    worker = workers(
        windows="1m", timestamp="/at", value_format="json", json_pointer="/text", on_bad_time="dead_letter"
    )
    await worker.start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == {"a": 3, "b": 1, "no-time": 1, "wrong-time": 1}
    assert (await worker.stop())[0] == 0
    assert stored_panes(worker, workers) == {(60, 0): {"a": 2, "b": 1}, (60, 120): {"a": 1}}
    copies = await kafka.read_all(dead_letter_topic(workers.group, workers.topic))
    told = [dict(record.headers) for record in copies]
    assert [(headers["wordcount-offset"], headers["wordcount-reason"]) for headers in told] == [
        (b"3", b"missing_time"),
        (b"4", b"unreadable_time"),
    ]
    assert not any("wordcount-time-ms" in headers for headers in told)


async def test_minutes_are_exact_over_kills_and_a_restore(kafka: KafkaClient, workers: Workers) -> None:
    partitions, records = 3, 12_000
    await kafka.create_topic(workers.topic, partitions, ANY_TIME)
    truth: dict[tuple[int, int], Counter[str]] = {}
    late = 0
    worker = workers(windows="1m", flush_interval_ms=20, flush_bytes=4096)
    made = {number: _disordered(number, records) for number in range(partitions)}
    for timed in made.values():
        late += _add_to(truth, timed)
    assert late > 100
    for part in range(3):
        for number, timed in made.items():
            some = timed[part * records // 3 : (part + 1) * records // 3]
            await kafka.produce(
                workers.topic,
                [text for _, text in some],
                times=[time_ms for time_ms, _ in some],
                partition=number,
            )
        await worker.start().wait_ready()
        before = (await worker.stats())["records"]

        async def counts_more(before: int = before) -> bool:
            return int((await worker.stats())["records"]) > before

        await wait_for(counts_more, "records counted")
        await worker.kill()
    await worker.start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == await recount(workers.bootstrap_servers, workers.topic)
    assert (await worker.stop())[0] == 0
    assert stored_panes(worker, workers, partitions) == truth

    shutil.rmtree(worker.state_dir)
    await worker.start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert (await worker.metrics())["wordcount_records_read_total"] == 0
    assert (await worker.stop())[0] == 0
    assert stored_panes(worker, workers, partitions) == truth


def _disordered(seed: int, count: int) -> list[tuple[int, bytes]]:
    """Return records of ten minutes, each up to 15 s late."""
    chance = random.Random(seed)
    return [
        (
            NOON_MS
            + index * 10 * MINUTE_MS // count
            + chance.choice((0, 0, 0, -chance.randrange(15_000)))
            + 20_000,
            b"w%d w%d" % (chance.randrange(20), chance.randrange(3000)),
        )
        for index in range(count)
    ]


def _add_to(truth: dict[tuple[int, int], Counter[str]], timed: Iterable[tuple[int, bytes]]) -> int:
    """Count the records of one partition one by one; return how many are late."""
    stream_ms, late = 0, 0
    for time_ms, text in timed:
        start_ms = time_ms - time_ms % MINUTE_MS
        if start_ms + MINUTE_MS + GRACE_MS <= stream_ms:
            late += 1
        else:
            place = (60, (start_ms - NOON_MS) // 1000)
            truth.setdefault(place, Counter()).update(text.decode().split())
        stream_ms = max(stream_ms, time_ms)
    return late
