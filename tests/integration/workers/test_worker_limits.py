"""Limits of the system that a worker reaches: the worker says in one line what is missing, and no store is lost."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.worker import Worker, counts_of, lines, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 24
TOO_FEW_FILES = 150
"""A limit of open files that is enough for a worker without partitions only."""


def told(worker: Worker) -> list[str]:
    """Return the lines for the operator."""
    return [line for line in worker.log.splitlines() if line.startswith("wordcount: ")]


def stores(worker: Worker) -> set[Path]:
    """Return the files of rows of all stores."""
    return set(worker.state_dir.rglob("*.sst"))


async def test_too_few_open_files_end_a_worker_with_one_line_and_no_store_is_lost(
    kafka: KafkaClient, workers: Workers
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, PARTITIONS)
    await kafka.produce(topic, lines(1, 2000))
    worker = await workers().start().wait_ready()
    await wait_counted([worker], servers, topic)
    counts = await counts_of([worker])
    assert (await worker.stop())[0] == 0
    before = stores(worker)
    assert before

    worker.log_path.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    worker.start()
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (TOO_FEW_FILES, TOO_FEW_FILES))
    assert await worker.ended() == 1
    assert len(told(worker)) == 1, worker.log
    assert "open files" in told(worker)[0]
    assert "Traceback" not in worker.log
    assert before <= stores(worker), "a store was thrown away"

    worker.start()
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (soft, hard))
    await worker.wait_ready()
    assert (await worker.metrics())["wordcount_restored_rows_total"] == 0
    assert await counts_of([worker]) == counts == await recount(servers, topic)


async def test_a_soft_limit_that_is_too_low_is_raised(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    worker = workers().start()
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (64, hard))
    await worker.wait_ready()
    assert resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)[0] == hard
    assert len([*Path(f"/proc/{worker.pid}/fd").iterdir()]) > 64


async def test_a_state_folder_that_is_removed_under_a_worker_is_named_and_nothing_is_lost(
    kafka: KafkaClient, workers: Workers, tmp_path: Path
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 2)
    await kafka.produce(topic, lines(1, 500))
    worker = await workers().start().wait_ready()
    await wait_counted([worker], servers, topic)
    worker.state_dir.rename(tmp_path / "gone")

    # Only a flush that is large enough for a file of its own needs the folder.
    await kafka.produce(
        topic, [b" ".join(b"new%d" % n for n in range(i, i + 1000)) for i in range(0, 40_000, 1000)]
    )
    assert await worker.ended() == 1
    assert len(told(worker)) == 1, worker.log
    assert "Traceback" not in worker.log
    line = told(worker)[0]
    assert "removed the state folder" in line
    assert "start again" in line

    await worker.start().wait_ready()
    await wait_counted([worker], servers, topic)
    assert await counts_of([worker]) == await recount(servers, topic)


async def test_a_restore_is_watched_in_readyz_and_metrics(kafka: KafkaClient, workers: Workers) -> None:
    """The changelog is long enough that the test can ask /readyz while the worker restores it."""
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 1)
    worker = await workers().start().wait_ready()
    for seed in range(3):
        await kafka.produce(
            topic,
            [b" ".join(b"s%dw%d" % (seed, n) for n in range(i, i + 500)) for i in range(0, 100_000, 500)],
        )
        await wait_counted([worker], servers, topic)
    await worker.stop()
    worker.state_dir.rename(worker.state_dir.with_name("lost"))
    worker.start()
    seen: list[str] = []

    async def ready() -> bool:
        if await worker.status("/livez") != 200:
            return False
        readiness = await worker.get("/readyz")
        seen.append(readiness.json()["checks"]["restored"]["detail"])
        return readiness.status_code == 200

    await wait_for(ready, "ready again")
    assert any("changelog records left" in detail for detail in seen), set(seen)
