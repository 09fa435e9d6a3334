"""The program of `make chaos`: injects faults into workers, broker and network while words are counted, and compares every count.

The program makes CHAOS_SEEDS runs of CHAOS_MINUTES minutes each; CHAOS_FIRST_SEED repeats the faults of an earlier run. If the seed of
a run is a multiple of three, workers reach the broker over TLS, with client certificates. If CHAOS_KINDS is set, only those kinds of
faults are injected whose names contain one of its comma separated parts. With CHAOS_WINDOWS=1 windows of event time are counted, too,
and compared in the changelog after each fault and in the stores at the end. If a count differs, a worker ends by itself, or recovery
takes longer than `cluster.RECOVERY_BOUND_S`, the program prints the seed and the faults of the run so far and ends with exit code 1.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tests.chaos.cluster import ChaosError, Cluster
from tests.chaos.faults import Fault, all_faults
from tests.chaos.feed import PARTITIONS
from tests.chaos.windowed import SETTINGS
from tests.integration.worker import ROOT

RESULTS = {False: ROOT / "bench/results/chaos.json", True: ROOT / "bench/results/chaos-windows.json"}
"""The file of the result, without and with windows."""

FAULT_BOUND_S = 240.0
LOG_CHARACTERS = 6000


@dataclass
class Run:
    """The faults and results of one seed."""

    seed: int
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    faults: list[str] = field(default_factory=list)
    sigkills: int = 0
    words: int = 0
    records: int = 0
    words_compared: int = 0
    differing_words: int = 0
    answers: int = 0
    holes: int = 0
    changelog: tuple[int, int] = (0, 0)
    window_counts: int = 0
    differing_window_counts: int = 0
    late: Counter[int] = field(default_factory=Counter)
    untimed: Counter[str] = field(default_factory=Counter)
    failure: str = ""


async def run_seed(
    seed: int, minutes: float, kinds: Sequence[str], folder: Path, console: Console, *, windowed: bool
) -> Run:
    """Inject faults one after the other for `minutes`, compare all counts after each fault, and return the results."""
    run = Run(seed)
    chance = random.Random(seed)
    wanted = [
        fault
        for fault in all_faults(folder / "mount")
        if not kinds or any(kind in fault.kind for kind in kinds)
    ]
    if not wanted:
        raise SystemExit(f"no kind of fault has {' or '.join(kinds)} in its name")
    cluster = Cluster(folder, seed, secured=over_tls(seed), windowed=windowed)
    try:
        await cluster.start()
        started = time.monotonic()
        for fault in shuffled(wanted, chance):
            if time.monotonic() - started > minutes * 60:
                break
            run.faults.append(fault.kind)
            async with asyncio.timeout(FAULT_BOUND_S):
                recovery_s = await fault.inject(cluster, chance)
                run.recovery_s[fault.kind].append(recovery_s)
                await cluster.compare()
            console.print(
                f"seed {seed} {time.monotonic() - started:6.1f} s  {fault.kind:36} recovered in {recovery_s:5.2f} s, "
                f"{len(cluster.recount.counts):,} words equal",
                highlight=False,
            )
        run.changelog = await cluster.changelog_records()
        if windowed:
            await cluster.compare_stores()
    except (Exception, asyncio.CancelledError) as error:
        run.failure = f"{type(error).__name__}: {error}" if str(error) else repr(error)
        for worker in cluster.workers:
            if worker.log_path.exists():
                console.print(
                    f"--- {worker.name}, exit code {worker.exit_code}", markup=False, highlight=False
                )
                console.print(worker.log[-LOG_CHARACTERS:], markup=False, highlight=False)
        if not isinstance(error, ChaosError):
            console.print(traceback.format_exc(), markup=False, highlight=False)
        if isinstance(error, asyncio.CancelledError):
            raise
    finally:
        run.sigkills, run.differing_words = cluster.sigkills, cluster.differing_words
        run.words, run.records = cluster.recount.counts.total(), cluster.recount.records
        run.words_compared, run.answers = cluster.words_compared, cluster.answers_checked
        run.holes = cluster.logged("appended at ")
        run.window_counts, run.differing_window_counts = cluster.windows.counts, cluster.windows.differing
        for truth in cluster.recount.windows.values():
            run.late += truth.late
            run.untimed += truth.untimed
        await cluster.close()
    return run


def over_tls(seed: int) -> bool:
    """Return whether workers of this seed use TLS; the answer depends on the seed alone, so that a run can be repeated."""
    return seed % 3 == 0


def shuffled(faults: Sequence[Fault], chance: random.Random) -> Iterator[Fault]:
    """Yield all faults in random order, then all of them in another order, without end; kills are spread evenly among the others."""
    while True:
        kills = [fault for fault in faults if fault.kills]
        others = [fault for fault in faults if not fault.kills]
        chance.shuffle(kills)
        chance.shuffle(others)
        while kills or others:
            left = len(kills) + len(others)
            yield kills.pop() if chance.randrange(left) < len(kills) else others.pop()


def report(runs: Sequence[Run], minutes: float, console: Console, *, windowed: bool) -> dict[str, Any]:
    """Print the tables of the report; return the content of the result file."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for kind, seconds in run.recovery_s.items():
            by_kind[kind] += seconds
    table = Table(title="Recovery: until all that the topic had is counted", title_justify="left")
    for name in ("Fault", "Times", "p50 s", "max s"):
        table.add_column(name, justify="left" if name == "Fault" else "right")
    for kind, seconds in sorted(by_kind.items()):
        table.add_row(kind, str(len(seconds)), f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")
    console.print(table)
    every = [second for seconds in by_kind.values() for second in seconds] or [0.0]
    result = {
        "seeds": [run.seed for run in runs],
        "over_tls": [run.seed for run in runs if over_tls(run.seed)],
        "minutes": minutes,
        "commit": commit(),
        "partitions": PARTITIONS,
        "faults": sum(len(run.faults) for run in runs),
        "kinds": len(by_kind),
        "sigkills": sum(run.sigkills for run in runs),
        "records": sum(run.records for run in runs),
        "words": sum(run.words for run in runs),
        "words_compared": sum(run.words_compared for run in runs),
        "answers_checked": sum(run.answers for run in runs),
        "differing_words": sum(run.differing_words for run in runs),
        **(windows_of(runs) if windowed else {}),
        "foreign_appends_noticed": sum(run.holes for run in runs),
        "changelog": {
            "appended": sum(run.changelog[0] for run in runs),
            "left_by_compaction": sum(run.changelog[1] for run in runs),
        },
        "recovery_s": {"p50": round(statistics.median(every), 2), "max": round(max(every), 2)},
        "by_kind": {
            kind: {
                "times": len(seconds),
                "p50": round(statistics.median(seconds), 2),
                "max": round(max(seconds), 2),
            }
            for kind, seconds in sorted(by_kind.items())
        },
    }
    summary = Table(show_header=False)
    for name, value in result.items():
        if name != "by_kind":
            summary.add_row(name, str(value))
    console.print(summary)
    return result


def windows_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the result file says of windows."""
    late: Counter[int] = sum((run.late for run in runs), Counter())
    return {
        "windows": SETTINGS,
        "window_counts_compared": sum(run.window_counts for run in runs),
        "differing_window_counts": sum(run.differing_window_counts for run in runs),
        "late": {f"{size_s} s": count for size_s, count in sorted(late.items())},
        "untimed": dict(sum((run.untimed for run in runs), Counter())),
    }


def commit() -> str:
    """Return the commit of the checkout, with the suffix `-dirty` if files differ from it; "unknown" without Git."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def main() -> None:
    """Run all seeds and print the report; write the file of `RESULTS` if no run failed and CHAOS_KINDS left no kind out."""
    # Without a handler of its own, aiokafka would bury the report under warnings while the broker is away.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    logging.getLogger("aiokafka").propagate = False
    console = Console(width=None if sys.stdout.isatty() else 120)
    minutes = float(os.environ.get("CHAOS_MINUTES") or 5)
    first = int(os.environ.get("CHAOS_FIRST_SEED") or random.SystemRandom().randrange(1 << 20))
    windowed = os.environ.get("CHAOS_WINDOWS") == "1"
    kinds = [kind for kind in os.environ.get("CHAOS_KINDS", "").split(",") if kind]
    runs: list[Run] = []
    for seed in range(first, first + int(os.environ.get("CHAOS_SEEDS") or 3)):
        with tempfile.TemporaryDirectory(prefix="wordcount-chaos-", ignore_cleanup_errors=True) as folder:
            run = asyncio.run(run_seed(seed, minutes, kinds, Path(folder), console, windowed=windowed))
        runs.append(run)
        if run.failure:
            break
    result = report(runs, minutes, console, windowed=windowed)
    if runs[-1].failure:
        console.print(
            f"FAILED with seed {runs[-1].seed}: {runs[-1].failure}\nFaults: {'; '.join(runs[-1].faults)}\n"
            f"Again: make chaos CHAOS_WINDOWS={windowed:d} CHAOS_SEEDS=1 CHAOS_FIRST_SEED={runs[-1].seed} CHAOS_MINUTES={minutes:g}",
            markup=False,
            highlight=False,
        )
        raise SystemExit(1)
    if not kinds:
        RESULTS[windowed].write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")


if __name__ == "__main__":
    main()
