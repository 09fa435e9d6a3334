"""`make bench-peers`: every system counts one corpus from one broker, round by round, and every count is compared with the truth.

With `--windowed`, as in `make bench-peers-windowed`, the systems count per word and minute of event time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from app.local.embedded import EmbeddedBroker
from bench.event_time import RECORDS_PER_S, SIZE_S, windows
from bench.peers.report import lines, report, rows
from bench.peers.system import Attempt, Outcome, System
from bench.peers.systems import expected_ratios, expected_windowed_ratios, systems, windowed_systems
from bench.peers.table import COUNTS, WINDOWS, put_into_page, result_file
from bench.peers.topics import PeersTopic, load, load_windowed
from bench.results import write
from bench.rig import Rig

TIME_BOX_S = 18 * 60.0
"""Time from the first loaded line after which no run begins; so a slow machine leaves out the last rounds."""

PATIENCE = {"broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "2000"}
"""Kafka's own defaults. With the embedded broker's shorter times a system that takes all cores would end the broker's session."""

Load = Callable[[Rig, int], PeersTopic]
"""Loads the topic with that many lines."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Compare the systems that are named, at most RUNS times each; without names and RUNS, write the result file and its figures.

    Args:
        arguments: names of systems, `--windowed` and its option.
        environ: has names of systems in PEERS, separated by commas, for the case that there are none among the arguments; and RUNS.

    Returns:
        Exit code: 0 if every system ran and every count was right.
    """
    options = _parser().parse_args(arguments)
    comparison = windowed(options.records_per_s) if options.windowed else counting()
    peers = ",".join(options.peers) or environ.get("PEERS", "")
    chosen, most, whole = choice(comparison.systems, peers, environ.get("RUNS", ""))
    contest = Contest(chosen, most, comparison.load)
    contest.prepare()
    with (
        tempfile.TemporaryDirectory(prefix="wordcount-peers-", ignore_cleanup_errors=True) as folder,
        EmbeddedBroker(Path(folder) / "broker", settings=PATIENCE) as broker,
    ):
        contest.run(Rig(broker, Path(folder)))
    result = report(contest.cases(), comparison.expected, contest.minutes, comparison.about)
    if whole:
        write(result_file(comparison.name), result)
        put_into_page()
    print(*lines(result), sep="\n")
    return 0 if all(case["verified"] for case in result["cases"]) else 1


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        name: name of the result file and of its place in the page.
        systems: the systems that there are.
        expected: by case, the least multiple of the case's words per second that Wordcount is expected to count.
        load: loads the topic with that many lines.
        about: what the result file says of the comparison.
    """

    name: str
    systems: Sequence[System]
    expected: Mapping[str, float]
    load: Load
    about: Mapping[str, Any]


def counting() -> Comparison:
    """Return the comparison of counts per word."""
    return Comparison(COUNTS, systems(), expected_ratios(), load, {"command": "make bench-peers"})


def windowed(records_per_s: int) -> Comparison:
    """Return the comparison of counts per word and window, with that many records per second of event time."""
    found = windowed_systems()
    number = windows(max(system.lines for system in found), records_per_s)
    about = {"window_s": SIZE_S, "windows": number, "records_per_s": records_per_s}
    return Comparison(
        WINDOWS,
        found,
        expected_windowed_ratios(),
        partial(load_windowed, records_per_s=records_per_s),
        {"command": "make bench-peers-windowed", "event_time": about},
    )


def choice(among: Sequence[System], peers: str, runs: str) -> tuple[list[System], int | None, bool]:
    """Return the systems that `peers` names, the largest number of runs, and whether this is a whole comparison.

    Raises:
        SystemExit: there is no such system, or `runs` is not a positive number.
    """
    known = {system.name: system for system in among}
    names = [name for name in peers.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"PEERS: no such system: {', '.join(unknown)}; there are: {', '.join(known)}")
    if runs and not _is_positive(runs):
        raise SystemExit(f"RUNS: {runs!r} is no number of runs")
    chosen = [known[name] for name in known if not names or name in names]
    return chosen, int(runs) if runs else None, not names and not runs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", allow_abbrev=False)
    parser.add_argument("peers", nargs="*", metavar="name", help="systems to compare (default: all)")
    parser.add_argument(
        "--windowed", action="store_true", help=f"count per word and {SIZE_S} s of event time"
    )
    parser.add_argument(
        "--records-per-s",
        type=_records_per_s,
        default=RECORDS_PER_S,
        metavar="number",
        help="with --windowed: records per second of event time (default: %(default)s)",
    )
    return parser


def _records_per_s(text: str) -> int:
    if not _is_positive(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records")
    return int(text)


def _is_positive(text: str) -> bool:
    return text.isdecimal() and int(text) > 0


class Contest:
    """The systems, the outcomes of their runs so far, and the failures.

    Args:
        chosen: the systems.
        most: largest number of runs of each system; None = as many as the system has by itself.
        load: loads the topic with that many lines.
    """

    def __init__(self, chosen: Sequence[System], most: int | None, load: Load = load) -> None:
        self._load = load
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
        topics = {lines: self._load(rig, lines) for lines in sorted({system.lines for system in self._runs})}
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

    def cases(self) -> list[dict[str, Any]]:
        """Return a row of the result file per case."""
        return [
            row
            for system, found in self._found.items()
            for row in rows(system, self._words[system.lines], found, self._failures.get(system))
        ]

    @property
    def minutes(self) -> float:
        """What loading and running took, in minutes."""
        return self._seconds / 60

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
    sys.exit(main(sys.argv[1:], os.environ))
