"""A broker that pods reach, lines that are sent to it all the time, and the comparison of every count with a recount."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from app.local.embedded import EmbeddedBroker
from app.machine.sockets import is_free
from tests.integration.worker import ROOT

PARTITIONS: Final = 8
PROFILE: Final = "whitespace"
LINES_PER_S: Final = 2_000
_CHUNK_S: Final = 0.05
_DEADLINE_S: Final = 180.0
_PORTS = range(20_000, 32_000)


class Feeding:
    """A broker, and a thread that sends lines while it is told to.

    Args:
        host: address of this machine that pods reach.
        folder: folder of the broker's data.
        topic: input topic.
        group: consumer group whose counts are compared.

    Attributes:
        lines: lines that were sent.
    """

    def __init__(self, host: str, folder: Path, topic: str, group: str) -> None:
        self.port, controller = (
            next(port for port in random.sample(_PORTS, 200) if is_free(host, port)) for _ in range(2)
        )
        self.servers = f"{host}:{self.port}"
        self._topic = topic
        self._group = group
        # The port for clients is bound at the address that pods reach, the controller's on loopback.
        self.broker = EmbeddedBroker(
            folder / "broker",
            settings={
                "listeners": f"PLAINTEXT://{host}:{self.port},CONTROLLER://127.0.0.1:{controller}",
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "broker.session.timeout.ms": "9000",
            },
        )
        self.lines = 0
        self._sends = threading.Event()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), name="feeding", daemon=True)
        self._failed: Exception | None = None

    def __enter__(self) -> Feeding:
        self.broker.start()
        self._wordcount("topics", "create", "--partitions", str(PARTITIONS))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(30)
        self.broker.stop()

    def start(self) -> None:
        """Send lines from now on."""
        self._sends.set()

    def stop(self) -> None:
        """Send no more lines."""
        self._sends.clear()

    def hang(self, seconds: float) -> None:
        """Stop the broker's process for a while, so that it answers nobody."""
        os.kill(self.broker.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.broker.pid, signal.SIGCONT)

    def compared(self) -> dict[str, Any]:
        """Wait until all lines are counted, compare every count with a recount, and return how many words were compared and differ.

        Raises:
            RuntimeError: not all lines were counted in time, or they could not be sent.
        """
        self.stop()
        deadline_s = time.monotonic() + _DEADLINE_S
        while True:
            if self._failed is not None:
                raise RuntimeError("lines could not be sent") from self._failed
            done = self._wordcount("verify", "--json", may_fail=True)
            found = json.loads(done.stdout) if done.stdout else []
            if sum(one["records"] for one in found) >= self.lines and done.returncode in (0, 1):
                # Totals that differ, of records or words, are a wrong count too.
                differing = sum(len(one["differences"]) + bool(one["totals"]) for one in found)
                return {
                    "lines": self.lines,
                    "words": sum(one["words"] for one in found),
                    "differing": differing,
                }
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"{self.lines} lines are not counted: {done.stdout} {done.stderr}")
            time.sleep(1)

    async def _send(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.servers, enable_idempotence=True, request_timeout_ms=60_000
        )
        chance = random.Random(0)
        await producer.start()
        try:
            while not self._ends.is_set():
                if self._sends.is_set():
                    futures = [
                        await producer.send(
                            self._topic, _line(chance), partition=chance.randrange(PARTITIONS)
                        )
                        for _ in range(int(LINES_PER_S * _CHUNK_S))
                    ]
                    await asyncio.gather(*futures)
                    self.lines += len(futures)
                await asyncio.sleep(_CHUNK_S)
        except Exception as error:
            self._failed = error
        finally:
            await producer.stop()

    def _wordcount(self, *arguments: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("WORDCOUNT_")}
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env=own
            | {
                "WORDCOUNT_BOOTSTRAP_SERVERS": self.servers,
                "WORDCOUNT_TOPIC": self._topic,
                "WORDCOUNT_GROUP": self._group,
                "WORDCOUNT_PROFILE": PROFILE,
            },
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
        if done.returncode and not may_fail:
            raise RuntimeError(done.stderr)
        return done


def _line(chance: random.Random) -> bytes:
    return b" ".join(b"w%d" % min(int(chance.paretovariate(0.8)), 50_000) for _ in range(10))
