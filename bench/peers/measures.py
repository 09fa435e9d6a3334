"""A run of one system: started, timed between its marks, ended, and its counts compared with the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from app.local.worker import LocalWorker
from bench.event_time import pane
from bench.peers import provisions
from bench.peers.subject import Span, Subject, moment, span
from bench.peers.system import Attempt, Measure, Outcome, System
from bench.peers.topics import Decode, changelog_counts, difference
from bench.rig import PARTITIONS, stop_cleanly
from bench.throughput import wait_answering, wait_counted
from bench.topics import create_topic
from bench.windows import counts_by_window

PROGRAMS = Path(__file__).parent / "programs"
WRITE_TIMEOUT_S = 120.0

Command = Callable[[System], list[str]]
"""Program and arguments of a system."""


@dataclass(frozen=True)
class Kept:
    """Counts that a system leaves in a topic.

    Attributes:
        topic: name of the topic; `{0}` stands for the name of the run, and `{1}` for the name of the topic with the lines.
        decode: decodes a record of the topic.
        made_before: whether the topic must be made before the run, because the system does not make it.
    """

    topic: str
    decode: Decode
    made_before: bool = False


def wordcount(system: System, attempt: Attempt) -> Sequence[Outcome]:
    """Measure a Wordcount worker from its first answer until all records are durable and shown.

    Settings of the system whose names begin with `WORDCOUNT_` are given to the worker.

    Records that are counted before the first answer are assumed to cost as much as the others.
    """
    with _worker(system, attempt) as worker:
        took = _counted(worker, attempt)
        return [Outcome(took, difference(worker.counts(), attempt.topic.expected))]


def windowed_wordcount(system: System, attempt: Attempt) -> Sequence[Outcome]:
    """Measure a Wordcount worker as `wordcount` does; the counts of its windows are read from its stores, after a clean stop."""
    with _worker(system, attempt) as worker:
        took = _counted(worker, attempt)
        stop_cleanly(worker)
    found = counts_by_window(attempt.rig.stores(attempt.topic.name, attempt.name))
    counts = {
        pane(word.decode(), start_s * 1000): count
        for (_, start_s), words in found.items()
        for word, count in words.items()
    }
    return [Outcome(took, difference(counts, attempt.topic.expected))]


def _worker(system: System, attempt: Attempt) -> AbstractContextManager[LocalWorker]:
    further = {name: value for name, value in system.settings.items() if name.startswith("WORDCOUNT_")}
    return attempt.rig.worker(attempt.topic.name, attempt.name, system.settings["profile"], further=further)


def _counted(worker: LocalWorker, attempt: Attempt) -> Span:
    """Wait until the worker has counted the topic. Return what it took, extended by the share of the words before the first answer."""
    words_before = wait_answering(worker)
    broker_pid = attempt.rig.broker.pid
    first = moment(worker.pid, broker_pid)
    wait_counted(worker, attempt.topic.records)
    took = span(first, moment(worker.pid, broker_pid), worker.pid)
    return took.extended(1 - words_before / attempt.topic.words)


def marked(
    command: Command,
    kept: Kept | None = None,
    variables: Callable[[System, Path], Mapping[str, str]] = lambda *_: {},
) -> Measure:
    """Return the measurement of a program that marks its moments.

    Args:
        command: returns the command of the program.
        kept: the topic that holds the counts after the program has ended; None = the program writes its counts to a file per job.
        variables: returns further environment variables, given the system and the folder of the run.
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
            Outcome(took, difference(counts, attempt.topic.expected))
            for took, counts in zip(spans, found, strict=True)
        ]

    return measure


def on_java(lock: str, program: str) -> Command:
    """Return the command of a class of `java/` with the jars of a lock, in the broker's JVM; the setting `jvm` has the JVM's flags."""

    def command(system: System) -> list[str]:
        java, _ = provisions.java()
        flags = ["--enable-native-access=ALL-UNNAMED", *system.settings["jvm"].split()]
        return [java, *flags, "-cp", provisions.class_path(lock, program), program]

    return command


def on_python(environment: str | None, program: str) -> Command:
    """Return the command of a file of `programs/` in the environment of that name; None = the environment of this project."""
    return lambda _: [provisions.interpreter(environment), str(PROGRAMS / program)]


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
