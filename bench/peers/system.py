"""What a comparison is made of: systems, each with its part of the corpus, and what their runs took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.subject import Span
from bench.rig import Rig
from bench.topics import LoadedTopic


@dataclass(frozen=True)
class Attempt:
    """One run of a system.

    Attributes:
        rig: broker and topics.
        topic: what to count.
        name: of the run: consumer group and prefix of the topics that it makes.
        folder: of the run, not made yet.
    """

    rig: Rig
    topic: LoadedTopic
    name: str
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What a job took, and what is wrong with its counts; None where they are the truth."""

    span: Span
    wrong: str | None


Measure = Callable[["System", Attempt], Sequence[Outcome]]


@dataclass(frozen=True, eq=False)
class System:
    """One way to count words.

    Attributes:
        name: in PEERS, and of its first case in the result.
        title: as its makers call it.
        version: of the system.
        lines: of its topic.
        runs: of which the median is reported.
        guarantee: what a count that was shown survives, and what it does not.
        clock: what ends a run; all runs begin at the first line read.
        settings: handed to the system as they are.
        measure: runs it once, for an outcome per case.
        prepare: installs or compiles what it needs; outside of all clocks.
        cases: name and temperature of each job of one process.
        timeout_s: of one job.
    """

    name: str
    title: str
    version: str
    lines: int
    runs: int
    guarantee: str
    clock: str
    settings: Mapping[str, str]
    measure: Measure
    prepare: Callable[[], object] = lambda: None
    cases: Sequence[tuple[str, str]] = field(default=())
    timeout_s: float = 240.0

    def __post_init__(self) -> None:
        if not self.cases:
            object.__setattr__(self, "cases", ((self.name, "cold"),))
