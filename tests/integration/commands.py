"""Runs commands of Wordcount in processes of their own, as a user does, and reads what they print."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from app.cli import main; main()"]
DEADLINE_S = 60
REPORT = re.compile(
    r"sent ([\d,]+) lines \(([\d,]+) bytes\) to (\S+), ([\d,]+) acknowledged, in [\d.]+ s: [\d,]+ lines/s\n"
)


class Wordcount:
    """Runs commands against the broker at `bootstrap_servers`, on the topic of one test."""

    def __init__(self, bootstrap_servers: str, topic: str, folder: Path) -> None:
        self.topic = topic
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WORDCOUNT_")},
            "PYTHONPATH": str(ROOT),
            "WORDCOUNT_BOOTSTRAP_SERVERS": bootstrap_servers,
            "WORDCOUNT_TOPIC": topic,
            "WORDCOUNT_HTTP_PORT": "0",
        }

    def __call__(
        self, *arguments: str, stdin: bytes = b"", **settings: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment | {f"WORDCOUNT_{name.upper()}": value for name, value in settings.items()},
            input=stdin,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def report(done: subprocess.CompletedProcess[bytes]) -> tuple[int, int, int]:
    """Return the numbers of lines, bytes and acknowledged lines that `produce` reports."""
    found = REPORT.fullmatch(done.stdout.decode())
    assert found, done
    lines, byte_count, acknowledged = (int(found[group].replace(",", "")) for group in (1, 2, 4))
    return lines, byte_count, acknowledged


def sent_well(done: subprocess.CompletedProcess[bytes]) -> tuple[int, int, int]:
    assert (done.returncode, done.stderr) == (0, b""), done
    return report(done)


def examine(wordcount: Wordcount, *, code: int = 1, **settings: str) -> dict[str, dict[str, str]]:
    done = wordcount("doctor", "--json", **settings)
    assert done.returncode == code, done
    return {check["name"]: check for check in json.loads(done.stdout)}
