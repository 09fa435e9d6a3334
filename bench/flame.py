"""The profile of a worker that counts a backlog: a flame graph and a list of the most expensive functions, by py-spy.

    make profile

`.wordcount/profile.svg` holds for one machine and one moment only; so the file is not kept in the repository. All running threads
are sampled, with or without the GIL. There are two runs: py-spy draws the graph from one, and the list is added up from the other.
py-spy takes a thread that waits inside C code for a running thread. The functions in which the worker's threads wait are therefore
left out of the list, but not out of the graph.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from bench.rig import Rig, running_rig
from bench.throughput import wait_counted

FOLDER = Path(".wordcount")
LINES = 3_000_000
SAMPLES_PER_S = 200
TOP = 30
_STOP_S = 20.0
_WAITING = {
    "_worker (concurrent/futures/thread.py)",
    "ServiceThread._start_thread (mode/threads.py)",
    "Worker.execute_from_commandline (mode/worker.py)",
}
"""Functions in which threads wait: a thread of a pool without work, and two idle event loops."""


def main() -> None:
    """Profile twice, write the graph, print the functions."""
    FOLDER.mkdir(exist_ok=True)
    graph = FOLDER / "profile.svg"
    with running_rig() as rig:
        _record(rig, "flamegraph", graph)
        stacks = rig.folder / "stacks.txt"
        _record(rig, "raw", stacks)
        alone, within = added_up(stacks.read_text("utf-8").splitlines())
    total = alone.total()
    print(f"{total} samples, at {SAMPLES_PER_S} a second and running thread\n\n  alone  with what it calls")
    for function, count in alone.most_common(TOP):
        print(f"{count / total:7.1%} {within[function] / total:7.1%}  {function}")
    print(f"\nflame graph: {graph}")


def added_up(stacks: list[str]) -> tuple[Counter[str], Counter[str]]:
    """Return the number of samples by function: those in which the function is innermost, and those in which it occurs at all.

    Args:
        stacks: lines `outermost;...;innermost count`, each frame `function (file:line)`.
    """
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        functions = [frame.rpartition(":")[0] + ")" if ":" in frame else frame for frame in frames.split(";")]
        if functions[-1] in _WAITING:
            continue
        alone[functions[-1]] += int(count)
        for function in set(functions):
            within[function] += int(count)
    return alone, within


def _record(rig: Rig, kind: str, output: Path) -> None:
    topic = rig.topic("zipf", LINES)
    with rig.worker(topic.name, f"profile-{kind}") as worker:
        worker.wait_ready()
        command = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(worker.pid)]
        options = ["--rate", str(SAMPLES_PER_S), "--threads", "--format", kind, "--output", str(output)]
        with subprocess.Popen(
            [*command, *options, "--duration", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as spy:
            try:
                wait_counted(worker, topic.records)
            finally:
                spy.send_signal(2)
                _, said = spy.communicate(timeout=_STOP_S)
        if not output.exists():
            raise SystemExit(f"py-spy wrote nothing; it says: {said.decode(errors='replace')}")


if __name__ == "__main__":
    main()
