"""A worker that runs as a child process ends when its parent ends, even if the parent is killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[4]
STARTS = """
import sys
from pathlib import Path
from app.local.worker import LocalWorker
broker, folder = sys.argv[1], Path(sys.argv[2])
settings = {
    "WORDCOUNT_BOOTSTRAP_SERVERS": broker,
    "WORDCOUNT_HTTP_PORT": "0",
    "WORDCOUNT_STATE_DIR": str(folder / "state"),
}
with LocalWorker(settings, folder / "worker.log") as worker:
    print(worker.pid, flush=True)
    sys.stdin.read()
"""


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_worker_is_not_left_behind_by_a_parent_that_is_killed(tmp_path: Path) -> None:
    # It accepts and never answers: the worker waits for it much longer than this test does for the worker.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = f"127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-c", STARTS, broker, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as parent:
            assert parent.stdout is not None
            worker = psutil.Process(int(parent.stdout.readline()))
            assert not ended(worker)
            began = time.monotonic()
            parent.send_signal(signal.SIGKILL)
        while not ended(worker):
            assert time.monotonic() - began < 5, "the worker lives on"
            time.sleep(0.02)
