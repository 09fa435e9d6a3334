"""The rig of all measurements: one broker, topics that are loaded once each, and workers with new groups and folders."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import psutil

from app.local.embedded import EmbeddedBroker
from app.local.worker import LocalWorker
from bench.corpus import CORPORA
from bench.topics import LoadedTopic, load_topic
from tables.model.names import changelog_topic

PARTITIONS = 8
CLEAN_STOP_S = 30.0
"""Longest time for a stop. A worker that needs longer is killed, so that its stores would be older than its answers."""


class Rig:
    """A running broker with its topics, and the folder of its workers; made by `running_rig`."""

    def __init__(self, broker: EmbeddedBroker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self._topics: dict[str, LoadedTopic] = {}

    @property
    def servers(self) -> str:
        """`host:port` of the broker."""
        return self.broker.bootstrap_servers

    def topic(self, corpus: str, lines: int, profile: str = "whitespace") -> LoadedTopic:
        """Return the topic with `lines` lines of `corpus`; the first call loads the topic."""
        kind = CORPORA[corpus]
        name = f"{corpus}-{lines}" + (f"-{profile}" if kind.natural else "")
        if name not in self._topics:
            definition = profile if kind.natural else None
            self._topics[name] = asyncio.run(
                load_topic(self.servers, name, kind.lines(lines), PARTITIONS, definition)
            )
        return self._topics[name]

    def add(self, topic: LoadedTopic) -> LoadedTopic:
        """Remember a topic that was loaded in another way."""
        self._topics[topic.name] = topic
        return topic

    @contextmanager
    def worker(
        self,
        topic: str,
        group: str,
        profile: str = "whitespace",
        *,
        number: int = 1,
        further: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[LocalWorker]:
        """Run a worker process while the context is open; `number` distinguishes the workers of one group, `further` are settings."""
        settings = self._settings(topic, group, profile, self.state_dir(group, number))
        with LocalWorker({**settings, **further}, self.folder / f"{group}-{number}.log") as worker:
            yield worker

    @contextmanager
    def view(self, topic: str, group: str, profile: str = "whitespace") -> Iterator[LocalWorker]:
        """Run a view without state while the context is open; its state is removed afterwards."""
        folder = self.folder / f"{group}-view"
        settings = self._settings(topic, group, profile, folder)
        try:
            with LocalWorker(settings, self.folder / f"{group}-view.log", "view") as view:
                yield view
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _settings(self, topic: str, group: str, profile: str, state_dir: Path) -> dict[str, str]:
        return {
            "WORDCOUNT_BOOTSTRAP_SERVERS": self.servers,
            "WORDCOUNT_TOPIC": topic,
            "WORDCOUNT_GROUP": group,
            "WORDCOUNT_STATE_DIR": str(state_dir),
            "WORDCOUNT_PROFILE": profile,
            "WORDCOUNT_HTTP_PORT": str(free_port()),
            "WORDCOUNT_LOG_LEVEL": "warning",
        }

    def state_dir(self, group: str, number: int = 1) -> Path:
        """Return the state folder of a worker."""
        return self.folder / f"{group}-{number}"

    def stores(self, topic: str, group: str, number: int = 1) -> list[Path]:
        """Return the folders of a worker's partition stores."""
        folder = self.state_dir(group, number) / changelog_topic(group, topic)
        return sorted(path for path in folder.iterdir() if path.name.isdecimal())

    def forget_state(self, group: str, number: int = 1) -> None:
        """Remove a worker's state folder."""
        shutil.rmtree(self.state_dir(group, number))

    def changelog_bytes(self, topic: str, group: str) -> int:
        """Return the compressed size of the changelog's segments on the broker's disk."""
        name = changelog_topic(group, topic)
        logs = self.broker.data_dir.rglob(f"{name}-*/*.log")
        return sum(size_of(path) for path in logs)


@contextmanager
def running_rig(broker_settings: Mapping[str, str] | None = None) -> Iterator[Rig]:
    """Run a rig in a temporary folder, which is removed afterwards; `broker_settings` override those of `EmbeddedBroker`."""
    with (
        tempfile.TemporaryDirectory(prefix="wordcount-bench-", ignore_cleanup_errors=True) as folder,
        EmbeddedBroker(Path(folder) / "broker", settings=broker_settings) as broker,
    ):
        yield Rig(broker, Path(folder))


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 if it is gone, because its owner has just removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def stop_cleanly(worker: LocalWorker) -> None:
    """Send SIGTERM, and return when the worker has closed its stores. End the benchmark if that takes longer than `CLEAN_STOP_S`."""
    process = psutil.Process(worker.pid)
    process.terminate()
    try:
        process.wait(CLEAN_STOP_S)
    except psutil.TimeoutExpired:
        raise SystemExit(f"a worker did not stop within {CLEAN_STOP_S:g} s; see {worker.log_path}") from None


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
