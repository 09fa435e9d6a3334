"""`faust -A app.faust_entry …`: each command works, or says in one line what to use instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # most of it starts processes

ROOT = Path(__file__).parents[3]


def faust(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app.faust_entry", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "WORDCOUNT_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["reset"], 2, "use: wordcount reset"),
        (["tables"], 2, "ask a worker: wordcount top"),
        (["clean-versions"], 2, "use: wordcount rebuild"),
        (["completion"], 2, "see: wordcount --help"),
        (["send", "@nobody", "x"], 2, 'there is no agent "@nobody"; use @count_words'),
        (["send", "nowhere", "x"], 1, "no broker answers"),
        (["send", "@count_words", "x"], 1, "no broker answers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_does_not_work_is_one_line(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = faust(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("wordcount: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_agent_says_what_it_does(tmp_path: Path) -> None:
    done = faust("agents", folder=tmp_path)
    assert done.returncode == 0
    assert "@count_words | wordcount-input | Counts the words of every record" in done.stdout


def test_a_bad_setting_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = faust("worker", folder=tmp_path, WORDCOUNT_HTTP_PORT="eighty")
    assert done.returncode == 2
    assert (
        done.stderr == 'wordcount: WORDCOUNT_HTTP_PORT is "eighty", expected a whole number from 0 to 65535\n'
    )


@pytest.mark.parametrize("flags", [["-D", "mine"], ["--datadir=mine"]], ids=" ".join)
def test_the_data_folder_of_faust_is_the_state_folder(flags: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine" / "LOCK").mkdir(parents=True)  # so that it cannot be locked, whoever runs this
    done = faust(*flags, "worker", folder=tmp_path)
    assert done.returncode == 2
    assert "wordcount: the state folder mine cannot be written (Is a directory)" in done.stderr


@pytest.mark.parametrize(
    "flags",
    [["--web-transport", "unix:/x.sock"], ["--logfile", "log"], ["--web-host", "a.example"]],
    ids=" ".join,
)
def test_a_flag_of_faust_that_would_be_ignored_is_refused(flags: list[str], tmp_path: Path) -> None:
    done = faust("worker", *flags, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"wordcount: {' '.join(flags)} is not obeyed by a worker of Wordcount; ")
    assert done.stderr.count("\n") == 1
