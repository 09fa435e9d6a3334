"""The values of a comparison: systems, each with its part of the corpus, their runs and the outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.subject import Span
from bench.peers.topics import PeersTopic
from bench.rig import Rig


@dataclass(frozen=True)
class Attempt:
    """One run of a system.

    Attributes:
        rig: broker and topics.
        topic: the topic that is counted.
        name: name of the run: its consumer group, and the prefix of the topics that it makes.
        folder: folder of the run, not made yet.
    """

    rig: Rig
    topic: PeersTopic
    name: str
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What a job took, and what is wrong with its counts; `wrong` is None if the counts are right."""

    span: Span
    wrong: str | None


Measure = Callable[["System", Attempt], Sequence[Outcome]]


@dataclass(frozen=True, eq=False)
class System:
    """A system that counts words.

    Attributes:
        name: name in PEERS, and name of its first case in the result.
        title: the name that its makers use.
        version: version of the system.
        lines: number of lines in its topic.
        runs: number of runs, of which the median is reported.
        guarantee: which failures a shown count survives, and which not.
        clock: the event that ends a run; every run begins when the first line is read.
        settings: settings that are given to the system unchanged.
        measure: runs the system once, and returns an outcome per case.
        prepare: installs or compiles the system before any clock runs.
        cases: name and temperature ("cold" or "warm") of each job of one process.
        timeout_s: longest time of one job.
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
