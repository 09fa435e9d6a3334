"""How a run goes: started, timed between its marks, ended, and its counts compared with the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers import provisions
from bench.peers.subject import Subject, moment, span
from bench.peers.system import Attempt, Measure, Outcome, System
from bench.peers.topics import Decode, changelog_counts, difference
from bench.rig import PARTITIONS
from bench.throughput import wait_answering, wait_counted
from bench.topics import create_topic

PROGRAMS = Path(__file__).parent / "programs"
WRITE_TIMEOUT_S = 120.0

Command = Callable[[System], list[str]]
"""Program and arguments of a system."""


@dataclass(frozen=True)
class Kept:
    """Counts that a system leaves in a topic.

    Attributes:
        topic: its name, with `{0}` for that of the run and `{1}` for that of the topic with the lines.
        decode: a record of it.
        made_before: a topic that the system does not make itself.
    """

    topic: str
    decode: Decode
    made_before: bool = False


def wordcount(system: System, attempt: Attempt) -> Sequence[Outcome]:
    """A worker of this project: from its first answer until all records are durable and shown.

    What it has counted by the first answer is taken to have cost what the rest does.
    """
    rig = attempt.rig
    with rig.worker(attempt.topic.name, attempt.name, system.settings["profile"]) as worker:
        words_before = wait_answering(worker)
        first = moment(worker.pid, rig.broker.pid)
        wait_counted([worker], attempt.topic.records)
        took = span(first, moment(worker.pid, rig.broker.pid), worker.pid)
        share = 1 - words_before / attempt.topic.words
        return [Outcome(took.extended(share), difference(worker.counts(), truth(attempt)))]


def marked(
    command: Command,
    kept: Kept | None = None,
    variables: Callable[[System, Path], Mapping[str, str]] = lambda *_: {},
) -> Measure:
    """A program that marks its moments.

    Args:
        command: of the program.
        kept: topic that holds the counts once the program is gone; without one, the program writes them to a file per job.
        variables: more of its environment, by system and folder of the run.
    """

    def measure(system: System, attempt: Attempt) -> Sequence[Outcome]:
        counts_topic = kept.topic.format(attempt.name, attempt.topic.name) if kept else ""
        if kept is not None and kept.made_before:
            asyncio.run(create_topic(attempt.rig.servers, counts_topic, PARTITIONS))
        folder = attempt.folder
        with Subject(
            command(system),
            {**_told(system, attempt), **variables(system, folder)},
            folder,
            attempt.rig.broker.pid,
            system.settings,
        ) as subject:
            spans = [subject.run_job(system.timeout_s) for _ in system.cases]
            if kept is None:
                subject.wait_for("written", WRITE_TIMEOUT_S)
        if kept is None:
            found = [_read(folder / f"counts-{job}") for job in range(len(spans))]
        else:
            found = [changelog_counts(attempt.rig.servers, counts_topic, kept.decode)]
        return [
            Outcome(took, difference(counts, truth(attempt)))
            for took, counts in zip(spans, found, strict=True)
        ]

    return measure


def on_java(lock: str) -> Command:
    """The program of a lock of jars, in the JVM that the broker runs in; the setting `jvm` is its flags."""

    def command(system: System) -> list[str]:
        java, _ = provisions.java()
        flags = ["--enable-native-access=ALL-UNNAMED", *system.settings["jvm"].split()]
        return [java, *flags, "-cp", provisions.class_path(lock), provisions.main_class(lock)]

    return command


def on_python(environment: str | None, program: str) -> Command:
    """A file of `programs/` in the environment of that name; None is this project's own."""
    return lambda _: [provisions.interpreter(environment), str(PROGRAMS / program)]


def truth(attempt: Attempt) -> dict[str, int]:
    """What the counts must be."""
    return {word.decode(): count for word, count in attempt.topic.truth.items()}


def _told(system: System, attempt: Attempt) -> dict[str, str]:
    values = {
        "SERVERS": attempt.rig.servers,
        "TOPIC": attempt.topic.name,
        "ID": attempt.name,
        "LINES": attempt.topic.records,
        "WORDS": attempt.topic.words,
        "JOBS": len(system.cases),
    }
    return {f"PEER_{name}": str(value) for name, value in values.items()}


def _read(file: Path) -> dict[str, int]:
    rows = (line.split("\t") for line in file.read_text("utf-8").splitlines())
    return {word: int(count) for word, count in rows}
