"""The comparison with other word counts: the marks and the end of a run, and systems that fail, hang or count wrong."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from app.local.embedded import EmbeddedBroker
from bench.peers.__main__ import Contest
from bench.peers.measures import marked, wordcount
from bench.peers.subject import Subject, SubjectError
from bench.peers.system import Measure, System
from bench.peers.systems import windowed_systems
from bench.peers.topics import load_windowed
from bench.rig import Rig

TELL = """
    import os, subprocess, sys
    def tell(moment):
        with open(os.environ["PEER_MARKS"], "w") as pipe:
            pipe.write(moment + "\\n")
"""


def program(tmp_path: Path, body: str) -> list[str]:
    """Write a program with a function `tell`, which writes a mark; return the command that runs the program."""
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(TELL) + textwrap.dedent(body))
    return [sys.executable, str(file)]


def subject(command: list[str], folder: Path) -> Subject:
    return Subject(command, {}, folder, psutil.Process().pid, {"threads": "2", "jvm": "-Xmx1g"})


def system(name: str, measure: Measure, settings: Mapping[str, str] | None = None) -> System:
    return System(
        name=name,
        title=name,
        version="1",
        lines=80,
        runs=2,
        guarantee="none",
        clock="ended",
        settings={"profile": "whitespace", **(settings or {})},
        measure=measure,
        timeout_s=60,
    )


def test_a_span_holds_the_cpu_time_of_the_whole_process_tree(tmp_path: Path) -> None:
    command = program(
        tmp_path,
        """
        tell("first")
        subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.4: pass"])
        tell("durable")
        import signal
        signal.pause()  # Its memory is read while it lives.
        """,
    )
    with subject(command, tmp_path / "run") as running:
        span = running.run_job(30)
    assert span.seconds >= 0.4
    assert span.cpu_s >= 0.35
    assert span.rss_mb > 5
    assert (tmp_path / "run" / "settings").read_text() == "threads=2\n"


def test_a_program_that_ends_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = program(tmp_path, 'tell("first"); sys.exit("no more memory")')
    told = pytest.raises(SubjectError, match=r"(?s)ended before it was durable: .*no more memory")
    with subject(command, tmp_path / "run") as running, told:
        running.run_job(30)


def test_a_program_without_time_between_its_moments_is_no_result(tmp_path: Path) -> None:
    command = program(
        tmp_path, 'os.write(os.open(os.environ["PEER_MARKS"], os.O_WRONLY), b"first\\ndurable\\n")'
    )
    told = pytest.raises(SubjectError, match="first and durable at once")
    with subject(command, tmp_path / "run") as running, told:
        running.run_job(30)


def test_a_program_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    command = program(
        tmp_path,
        """
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open("child", "w").write(str(child.pid))
        tell("first")
        child.wait()
        """,
    )
    with subject(command, tmp_path / "run") as running:
        with pytest.raises(SubjectError, match=r"not durable within 0\.3 s"):
            running.run_job(0.3)
        child = psutil.Process(int((tmp_path / "run" / "child").read_text()))
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def miscounting(folder: Path, counted: str) -> list[str]:
    """Return the command of a program that finds one occurrence of `counted` and nothing else."""
    return program(
        folder,
        f"""
        tell("first")
        subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.4: pass"])
        tell("durable")
        open(os.environ["PEER_COUNTS"] + "-0", "w").write("{counted}\\t1\\n")
        tell("written")
        """,
    )


def test_systems_that_fail_or_count_wrong_are_told_and_the_others_run(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    wrong = miscounting(tmp_path, "the")
    contest = Contest(
        [
            system("ended", marked(lambda _: [sys.executable, "-c", "pass"])),
            system("miscounted", marked(lambda _: wrong)),
            system("wordcount", wordcount),
        ],
        1,
    )
    contest.prepare()
    contest.run(Rig(broker, tmp_path / "rig"))
    ended, miscounted, right = contest.cases()
    assert (ended["verified"], ended["words_per_s"]) == (False, None)
    assert "ended before it was first" in ended["reason"]
    assert miscounted["verified"] is False
    assert "words differ" in miscounted["reason"]
    assert (right["verified"], right["words"]) == (True, 800)
    assert right["words_per_s"] > 0
    assert list((tmp_path / "rig").glob("*-1")) == []


def test_settings_of_wordcount_reach_its_worker(tmp_path: Path, broker: EmbeddedBroker) -> None:
    refused = system("wordcount", wordcount, {"WORDCOUNT_FLUSH_BYTES": "none"})
    contest = Contest([replace(refused, lines=88)], 1)
    contest.run(Rig(broker, tmp_path / "rig"))
    assert contest.cases()[0]["verified"] is False
    assert "WORDCOUNT_FLUSH_BYTES" in (tmp_path / "rig" / "wordcount-1-1.log").read_text()


@pytest.mark.slow
def test_wordcount_kafka_streams_and_flink_count_windows_and_a_wrong_window_is_told(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    """Of 1,600 lines each of three windows has 600, 600 and 400."""
    wrong = miscounting(tmp_path, "the 2025-01-01T00:00:00.000+00:00")
    compared = [replace(each, lines=1600, timeout_s=60) for each in windowed_systems()]
    contest = Contest(
        [*compared, replace(system("miscounted", marked(lambda _: wrong)), lines=1600)],
        1,
        partial(load_windowed, records_per_s=10),
    )
    contest.prepare()
    contest.run(Rig(broker, tmp_path / "rig"))
    ours, streams, flink, miscounted = contest.cases()
    assert (ours["verified"], ours["words"]) == (True, 16_000), ours
    assert (streams["verified"], streams["words"]) == (True, 16_000), streams
    assert min(streams["rss_mb"], flink["rss_mb"]) > 50
    assert (flink["verified"], flink["words"]) == (True, 16_000), flink
    assert miscounted["verified"] is False
    assert "words differ" in miscounted["reason"]
