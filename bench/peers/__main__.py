"""`make bench-peers`: every system counts one corpus from one broker, round by round, and every count is compared with the truth."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient

from app.local.embedded import EmbeddedBroker
from bench.peers.report import lines, report, rows
from bench.peers.system import Attempt, Outcome, System
from bench.peers.systems import expected_ratios, systems
from bench.peers.table import RESULT, put_into_page
from bench.peers.topics import load
from bench.rig import Rig

TIME_BOX_S = 18 * 60.0
"""Time from the first loaded line after which no run begins; so a slow machine leaves out the last rounds."""

PATIENCE = {"broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "2000"}
"""Kafka's own defaults. With the embedded broker's shorter times a system that takes all cores would end the broker's session."""


def main(environ: Mapping[str, str]) -> int:
    """Compare the systems that PEERS names, at most RUNS times each; without both variables, write `bench/results/peers.json`.

    Returns:
        Exit code: 0 if every system ran and every count was right.
    """
    chosen, most, whole = choice(environ.get("PEERS", ""), environ.get("RUNS", ""))
    contest = Contest(chosen, most)
    contest.prepare()
    with (
        tempfile.TemporaryDirectory(prefix="wordcount-peers-", ignore_cleanup_errors=True) as folder,
        EmbeddedBroker(Path(folder) / "broker", settings=PATIENCE) as broker,
    ):
        contest.run(Rig(broker, Path(folder)))
    result = contest.result()
    if whole:
        RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
        put_into_page()
    print(*lines(result), sep="\n")
    return 0 if all(case["verified"] for case in result["cases"]) else 1


def choice(peers: str, runs: str) -> tuple[list[System], int | None, bool]:
    """Return the systems that `peers` names, the largest number of runs, and whether this is a whole comparison.

    Raises:
        SystemExit: there is no such system, or `runs` is not a positive number.
    """
    known = {system.name: system for system in systems()}
    names = [name for name in peers.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"PEERS: no such system: {', '.join(unknown)}; there are: {', '.join(known)}")
    if runs and (not runs.isdecimal() or int(runs) == 0):
        raise SystemExit(f"RUNS: {runs!r} is no number of runs")
    chosen = [known[name] for name in known if not names or name in names]
    return chosen, int(runs) if runs else None, not names and not runs


class Contest:
    """The systems, the outcomes of their runs so far, and the failures.

    Args:
        chosen: the systems.
        most: largest number of runs of each system; None = as many as the system has by itself.
    """

    def __init__(self, chosen: Sequence[System], most: int | None) -> None:
        self._runs = {system: min(most or system.runs, system.runs) for system in chosen}
        self._found: dict[System, list[Sequence[Outcome]]] = {system: [] for system in chosen}
        self._failures: dict[System, str] = {}
        self._words: dict[int, int] = {}
        self._seconds = 0.0

    def prepare(self) -> None:
        """Install and compile what the systems need."""
        for system in self._runs:
            try:
                system.prepare()
            except Exception as error:  # noqa: BLE001 - whatever befalls one system, the others run
                self._fail(system, error)

    def run(self, rig: Rig) -> None:
        """Load the topics, then run the systems round by round, so that slow minutes of the machine affect all systems alike."""
        started = time.monotonic()
        topics = {lines: load(rig, lines) for lines in sorted({system.lines for system in self._runs})}
        self._words = {lines: topic.words for lines, topic in topics.items()}
        for number in range(max(self._runs.values())):
            for system, runs in self._runs.items():
                if number >= runs or system in self._failures:
                    continue
                if time.monotonic() - started > TIME_BOX_S:
                    print(f"{system.name}: run {number + 1} left out, the time is over", flush=True)
                    continue
                name = f"{system.name}-{number + 1}"
                attempt = Attempt(rig, topics[system.lines], name, rig.folder / name)
                try:
                    self._add(system, system.measure(system, attempt))
                except Exception as error:  # noqa: BLE001 - whatever befalls one system, the others run
                    self._fail(system, error)
                clean_up(attempt)
        self._seconds = time.monotonic() - started

    def result(self) -> dict[str, Any]:
        """Return the content of the result file."""
        cases = [
            row
            for system, found in self._found.items()
            for row in rows(system, self._words[system.lines], found, self._failures.get(system))
        ]
        return report(cases, expected_ratios(), self._seconds / 60)

    def _add(self, system: System, outcomes: Sequence[Outcome]) -> None:
        self._found[system].append(outcomes)
        for (name, _), outcome in zip(system.cases, outcomes, strict=True):
            took = outcome.span
            rate = self._words[system.lines] / took.seconds / 1e6
            print(
                f"{name} run {len(self._found[system])}: {rate:.4f} M words/s in {took.seconds:.1f} s, "
                f"CPU {took.cpu_s:.1f} s, broker {took.broker_cpu_s:.1f} s, {took.rss_mb:.0f} MiB, "
                f"{outcome.wrong or 'verified'}",
                flush=True,
            )

    def _fail(self, system: System, error: Exception) -> None:
        self._failures[system] = f"{type(error).__name__}: {error}"
        print(f"{system.name} FAILED: {self._failures[system]}", flush=True)


def clean_up(attempt: Attempt) -> None:
    """Remove the folder of a run and the topics that the run made, so that the next run finds the broker unchanged."""
    shutil.rmtree(attempt.folder, ignore_errors=True)
    shutil.rmtree(attempt.rig.state_dir(attempt.name), ignore_errors=True)
    asyncio.run(_delete_topics(attempt.rig.servers, attempt.name))


async def _delete_topics(servers: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        if made := [topic for topic in await admin.list_topics() if name in topic]:
            await admin.delete_topics(made)
    finally:
        await admin.close()


if __name__ == "__main__":
    sys.exit(main(os.environ))
