"""`wordcount run` with a text that flows: the page's address comes first, counts move, and Ctrl-C ends everything."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tests.integration.worker import DEADLINE_S

LINES = 40

T = TypeVar("T")


@pytest.mark.slow
def test_a_text_that_flows_is_counted_again_and_again_until_ctrl_c(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("one two\n" * LINES)
    command = [str(Path(sys.executable).with_name("wordcount")), "run", "--text", str(text), "--loop"]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen([*command, "--folder", str(tmp_path / "folder")], stdout=said, stderr=said)
    try:
        url = _until(lambda: re.findall(r"\A.*?(http://[\d.:]+)/\n", _text_of(tmp_path / "said")), process)[0]
        # Once through the text and again, which its lines alone would not reach.
        _until(lambda: _records(url) > 2 * LINES, process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0, _text_of(tmp_path / "said")
        assert not psutil.wait_procs(children, 10)[1]
        assert "stopping" in _text_of(tmp_path / "said")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _text_of(path: Path) -> str:
    return path.read_text("utf-8", "replace")


def _records(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/v1/stats?allow_partial=true", timeout=5) as answer:
            return int(json.load(answer)["records"])
    except OSError:
        return 0


def _until(found: Callable[[], T], process: subprocess.Popen[bytes]) -> T:
    deadline = time.monotonic() + DEADLINE_S
    while not (value := found()):
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value
