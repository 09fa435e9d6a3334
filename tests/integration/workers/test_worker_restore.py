"""HTTP during a restore: a worker answers within seconds, and counts other partitions, while a long changelog is restored."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.integration.worker import wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

ROWS = 1_000_000
WORDS_PER_LINE = 1000
FIRST_ANSWER_S = 6.0
"""Longest time from the start to the first answer: 3 s on two quiet cores."""

LEAST_ROWS_PER_S = 50_000
"""Least rate of a restore: more than 400,000 rows per second on two quiet cores."""


async def test_probes_answer_and_other_partitions_count_while_a_million_rows_are_restored(
    kafka: KafkaClient, workers: Workers, record_property: Callable[[str, object], None]
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 2)
    words = [b"word%06d" % number for number in range(ROWS)]
    texts = [b" ".join(words[start : start + WORDS_PER_LINE]) for start in range(0, ROWS, WORDS_PER_LINE)]
    await kafka.produce(topic, texts, partition=0, compression="lz4")
    worker = await workers().start().wait_ready()
    await wait_counted([worker], servers, topic)
    await worker.stop()
    shutil.rmtree(worker.state_dir)
    await kafka.produce(topic, [b"meanwhile"], partition=1)

    worker.start()

    async def alive() -> bool:
        return await worker.status("/livez") == 200

    await wait_for(alive, "/livez 200")
    readiness = await worker.get("/readyz")
    first_answer_s = time.monotonic() - worker.started_at
    assert readiness.status_code == 503
    assert int(readiness.headers["Retry-After"]) > 0
    assert first_answer_s < FIRST_ANSWER_S

    async def other_partition_counted() -> bool:
        return (await worker.stats())["as_of"] == {"1": 1}

    await wait_for(other_partition_counted, "partition 1 counted while partition 0 is restored")
    readiness = await worker.get("/readyz")
    assert readiness.status_code == 503
    restored = readiness.json()["checks"]["restored"]
    assert not restored["ok"]
    assert restored["detail"].startswith("restoring 1 of 2 partitions: 0 (")
    assert (await worker.stats())["missing_partitions"] == [0]
    absent = await worker.get("/v1/words/word000007", allow_partial="true")
    assert (absent.status_code, absent.json()["missing_partitions"]) == (503, [0])
    assert (await worker.json("/v1/words/meanwhile", allow_partial="true"))["complete"] is False

    await worker.wait_ready()
    ready_s = time.monotonic() - worker.started_at
    stats = await worker.stats()
    assert (stats["words"], stats["as_of"], stats["complete"]) == (ROWS + 1, {"0": len(texts), "1": 1}, True)
    for number in range(0, ROWS, ROWS // 20):
        assert (await worker.json(f"/v1/words/word{number:06d}"))["count"] == 1
    metrics = await worker.metrics()
    assert metrics["wordcount_restored_rows_total"] >= ROWS
    rows_per_s = metrics["wordcount_restored_rows_total"] / metrics["wordcount_restore_seconds_sum"]
    figures = {"first_answer_s": first_answer_s, "ready_s": ready_s, "restored_rows_per_s": rows_per_s}
    for name, value in figures.items():
        record_property(name, value)
    print(figures)
    assert rows_per_s > LEAST_ROWS_PER_S
