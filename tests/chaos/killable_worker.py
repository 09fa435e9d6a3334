"""A worker that sends itself a signal at a named point of a flush or restore; the product has no code for these points.

While a point is armed, the file that CHAOS_FAILPOINT_FILE names holds `point passings signal nonce` (see `arm`). The worker reads the
file each time it passes any point, so that a point can be armed while the worker runs. The worker removes the file before it sends
itself the signal.

This module lowers constants of the product, so that little data takes all paths of the product: flushes of several produce requests,
which can be torn, and stores that are written by ingested files.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE_VARIABLE = "CHAOS_FAILPOINT_FILE"

POINTS = (
    "count-done",  # the words of the buffer are counted, nothing is sent yet
    "append-begins",  # before the first produce request
    "request-sent",  # a produce request is written to the socket, its answer is not read yet
    "answer-read",  # the broker has answered a request of the flush, the worker does not know it yet
    "append-done",  # the brokers have acknowledged the whole flush
    "commit-done",  # ownership is proven, the store is not changed yet
    "file-written",  # the file of a large flush is complete, but not yet ingested into the store
    "store-writing",  # at a moment while RocksDB writes
    "store-written",  # the store has the flush, cache and readers do not have it yet
    "replay-done",  # a restore has read the changelog
    "heal-begins",  # a restore is about to append healed rows
)

ROWS_PER_CHANGELOG_BATCH = 24
SMALL_FLUSH_ROWS = 48
RESTORE_BUFFER_BYTES = 20_000
STORE_WRITE_S = 0.0002


class Failpoints:
    """Counts how often the armed point is passed, and sends this process the signal at the chosen passing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._armed = ""
        self._passings = 0
        self._lock = threading.Lock()

    def passes(self, point: str, delay_s: float = 0.0) -> None:
        """Note that this process passes `point`; at the chosen passing, send the signal, after `delay_s` seconds if this is not 0."""
        try:
            armed = self._path.read_text()
        except FileNotFoundError:
            return
        name, wanted, number, _ = armed.split()
        if name != point:
            return
        with self._lock:
            if armed != self._armed:
                self._armed, self._passings = armed, 0
            self._passings += 1
            if self._passings != int(wanted):
                return
            self._path.unlink()
        if delay_s:
            threading.Timer(delay_s, os.kill, [os.getpid(), int(number)]).start()
        else:
            os.kill(os.getpid(), int(number))


def arm(path: Path, point: str, passings: int, number: signal.Signals) -> None:
    """Make the worker that reads `path` send itself signal `number` when it passes `point` for the `passings`-th time from now on."""
    draft = path.with_suffix(".draft")
    draft.write_text(f"{point} {passings} {int(number)} {os.urandom(4).hex()}")
    draft.replace(path)


def install(failpoints: Failpoints) -> None:
    """Wrap methods of the product and of its Kafka client so that they pass the points, and lower the constants of the product."""
    from aiokafka.conn import AIOKafkaConnection
    from aiokafka.producer.sender import SendProduceReqHandler

    from agents.source.kafka_source import GroupOwnership
    from tables.kafka import changelog
    from tables.model import replay
    from tables.partitions import restore, shard
    from tables.store import partition_store, sst_file

    changelog.ROWS_PER_CHANGELOG_BATCH = ROWS_PER_CHANGELOG_BATCH
    partition_store.SMALL_FLUSH_ROWS = SMALL_FLUSH_ROWS
    replay.MERGE_BYTES = RESTORE_BUFFER_BYTES

    passes = failpoints.passes
    _after(shard.Shard, "_count", lambda: passes("count-done"))
    _before(changelog.KafkaChangelog, "append", lambda: passes("append-begins"))
    _before(SendProduceReqHandler, "handle_response", lambda: passes("answer-read"))
    _after_await(changelog.KafkaChangelog, "append", lambda: passes("append-done"))
    _after_await(GroupOwnership, "prove", lambda: passes("commit-done"))
    _after(sst_file.SstFile, "finish", lambda: passes("file-written"))
    _before(partition_store.PartitionStore, "commit", lambda: passes("store-writing", STORE_WRITE_S))
    _after(partition_store.PartitionStore, "commit", lambda: passes("store-written"))
    _after(restore.Restore, "_replay_to", lambda: passes("replay-done"))
    _before(restore.Restore, "_heal", lambda: passes("heal-begins"))

    send = AIOKafkaConnection.send

    @functools.wraps(send)
    def send_and_pass(self: Any, request: Any, expect_response: bool = True) -> Any:
        answer = send(self, request, expect_response)
        if request.API_KEY == 0:
            passes("request-sent")
        return answer

    AIOKafkaConnection.send = send_and_pass


def _before(owner: type, name: str, passing: Callable[[], None]) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        passing()
        return function(*arguments, **options)

    setattr(owner, name, wrapper)


def _after(owner: type, name: str, passing: Callable[[], None]) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        passing()
        return result

    setattr(owner, name, wrapper)


def _after_await(owner: type, name: str, passing: Callable[[], None]) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    async def wrapper(*arguments: Any, **options: Any) -> Any:
        result = await function(*arguments, **options)
        passing()
        return result

    setattr(owner, name, wrapper)


def main() -> None:
    """Run the command `wordcount worker` with failpoints."""
    os.environ.setdefault("FAUST_LOOP", "uvloop")
    install(Failpoints(Path(os.environ[FILE_VARIABLE])))
    from app.cli import main as wordcount

    wordcount(["worker"])


if __name__ == "__main__":
    main()
