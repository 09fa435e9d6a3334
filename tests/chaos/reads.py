"""The program of `make chaos-reads`: clients ask any worker for anything while workers are killed, frozen, added and restarted.

READS_MODE=faults (default): a worker is killed every `SLOT_S` seconds and started again; between the kills one more worker joins or
leaves, or a worker is frozen past its session. READS_MODE=restarts: workers with WORDCOUNT_STANDBYS=1 are stopped by SIGTERM and
started one after the other, and no read may fail for a client that asks another worker when one says 503.

After the run every answer is judged by a recount of the log (`tests.chaos.judge`). If an answer is wrong or behind an earlier one, or
if a reply is neither an answer nor 503, the program prints the replies and ends with exit code 1. READS_MINUTES sets the length,
READS_SEED repeats the choices of an earlier run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from app.local.embedded import EmbeddedBroker
from tests.chaos import load
from tests.chaos.askers import Asker
from tests.chaos.findings import judged, promises_broken
from tests.chaos.history import History
from tests.chaos.questions import Questions
from tests.chaos.trial import (
    GROUP,
    PARTITIONS,
    SESSION_TIMEOUT_S,
    SLOT_S,
    TOPIC,
    Trial,
    with_faults,
    with_restarts,
)
from tests.integration.conftest import EAGER_CLEANING, KafkaClient
from tests.integration.worker import COMMANDS, ROOT, Worker, records_of, wait_counted

RESULTS = {
    "faults": ROOT / "bench/results/reads-under-faults.json",
    "restarts": ROOT / "bench/results/reads-under-restarts.json",
}
WORKERS = 3
ASKERS = 16
VOCABULARY = 1_000_000
EXACT_K = {"faults": (10, 100, 1000), "restarts": ()}
"""By mode: how many of the most frequent words have to be exact. Where the time of a query is too short for that, the reply is 503."""

LEAST_ANSWERS = 20_000
"""Fewest answers of a run whose result is written."""

SHOWN = 20
"""Most replies of each kind of finding that are printed."""


async def run(
    folder: Path,
    mode: str,
    seed: int,
    seconds: float,
    *,
    vocabulary: int = VOCABULARY,
    slot_s: float = SLOT_S,
    console: Console | None = None,
) -> dict[str, Any]:
    """Run a trial and return its result; `found` has the replies that must not be, as text."""
    say = (console or Console(quiet=True)).print
    chance = random.Random(seed)
    with EmbeddedBroker(folder / "broker", settings=EAGER_CLEANING) as broker:
        servers = broker.bootstrap_servers
        kafka = KafkaClient(servers)
        await kafka.create_topic(TOPIC, PARTITIONS)
        await load.load(kafka, TOPIC, PARTITIONS, vocabulary)
        settings = {
            "WORDCOUNT_BOOTSTRAP_SERVERS": servers,
            "WORDCOUNT_TOPIC": TOPIC,
            "WORDCOUNT_GROUP": GROUP,
            "WORDCOUNT_SESSION_TIMEOUT_MS": str(int(SESSION_TIMEOUT_S * 1000)),
            "WORDCOUNT_STANDBYS": "1" if mode == "restarts" else "0",
        }
        workers = [
            Worker(f"worker-{number}", folder, settings, COMMANDS["wordcount"])
            for number in range(WORKERS + 1)
        ]
        trial = Trial(workers, workers[:WORKERS])
        tasks: list[asyncio.Task[None]] = []
        try:
            for worker in trial.asked:
                worker.start()
            for worker in trial.asked:
                await worker.wait_ready()
            await wait_counted(trial.asked, servers, TOPIC)
            batches = "/v1/words:batch" in (await workers[0].json("/openapi.json"))["paths"]
            say(f"{vocabulary:,} words are counted by {WORKERS} workers; batches of words: {batches}")
            told = load.newest()
            askers = [
                Asker(
                    lambda: trial.asked,
                    Questions(
                        random.Random(f"{seed} {number}"),
                        vocabulary,
                        told,
                        batches=batches,
                        exact_k=EXACT_K[mode],
                    ),
                    random.Random(f"{seed} {number} worker"),
                    trial.replies,
                    persistent=mode == "restarts",
                )
                for number in range(ASKERS)
            ]
            started_s = time.monotonic()
            tasks = [asyncio.create_task(asker.run()) for asker in askers]
            tasks.append(asyncio.create_task(load.go_on(servers, TOPIC, PARTITIONS, vocabulary, seed, told)))
            if mode == "restarts":
                await with_restarts(trial, seconds)
            else:
                await with_faults(trial, chance, seconds, slot_s)
            asked_s = time.monotonic() - started_s
            failed = [task for task in tasks if task.done()]
            await _cancel(tasks)
            if failed:
                await failed[0]
            await wait_counted(trial.asked, servers, TOPIC)
            say(f"{len(trial.replies):,} replies in {asked_s:.0f} s; the log is counted again")
            history = History(await records_of(servers, TOPIC))
        except BaseException:
            for worker in workers:
                if worker.log_path.exists():
                    print(
                        f"--- {worker.name}, exit code {worker.exit_code}\n{worker.log[-6000:]}",
                        file=sys.stderr,
                    )
            raise
        finally:
            await _cancel(tasks)
            for worker in workers:
                await worker.close()
    return judged(trial, history, askers, mode, seed, asked_s)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Run a trial, print its result, and write it to its file if it has enough answers and nothing was found."""
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    logging.getLogger("aiokafka").propagate = False
    console = Console(width=None if sys.stdout.isatty() else 160)
    minutes = float(os.environ.get("READS_MINUTES") or 10)
    mode = os.environ.get("READS_MODE") or "faults"
    if mode not in RESULTS:
        raise SystemExit(f"READS_MODE is {mode}; it may be {' or '.join(RESULTS)}")
    seed = int(os.environ.get("READS_SEED") or random.SystemRandom().randrange(1 << 20))
    with tempfile.TemporaryDirectory(prefix="wordcount-reads-", ignore_cleanup_errors=True) as folder:
        result = asyncio.run(run(Path(folder), mode, seed, minutes * 60, console=console))
    found = result.pop("found")
    text = msgspec.json.format(msgspec.json.encode(result), indent=2)
    console.print(text.decode(), markup=False, highlight=False)
    for name, examples in found.items():
        for example in examples[:SHOWN] if name != "failed_reads" or mode == "restarts" else []:
            console.print(f"{name}: {example}", markup=False, highlight=False)
    if broken := promises_broken(result):
        console.print(
            f"FAILED: {', '.join(broken)}; again: READS_SEED={seed} READS_MODE={mode} make chaos-reads"
        )
        raise SystemExit(1)
    if result["answers"] >= LEAST_ANSWERS:
        RESULTS[mode].write_bytes(text + b"\n")


if __name__ == "__main__":
    main()
