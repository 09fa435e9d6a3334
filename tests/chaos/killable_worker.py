"""A worker that ends or stops itself at a named point of a flush or restore; the product knows nothing of it.

The file that CHAOS_FAILPOINT_FILE names holds `point passings signal nonce` (see `arm`) while a point is armed. It is read at each
passing of any point, so that points are armed while the worker runs. The process removes the file before it sends itself the signal.

Constants of the product are lowered here, so that little data takes all of its paths: flushes of several produce requests, which can
be torn, and stores that are written by ingested files.
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
    "count-done",  # the buffer is counted, nothing is sent
    "append-begins",  # before the first produce request
    "request-sent",  # a produce request is in the socket, its answer is not read
    "answer-read",  # the broker has appended a request of the flush, the worker does not know yet
    "append-done",  # all of the flush is acknowledged
    "commit-done",  # ownership is proven, the store is as before
    "file-written",  # the file of a large flush is complete and not yet in the store
    "store-writing",  # somewhere within RocksDB
    "store-written",  # the store has it, cache and readers do not
    "replay-done",  # a restore has read the changelog
    "heal-begins",  # a restore is about to append rows again
)

ROWS_PER_CHANGELOG_BATCH = 24
SMALL_FLUSH_ROWS = 48
RESTORE_BUFFER_BYTES = 20_000
STORE_WRITE_S = 0.0002


class Failpoints:
    """Counts passings of the armed point, and sends this process its signal at the chosen one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._armed = ""
        self._passings = 0
        self._lock = threading.Lock()

    def passes(self, point: str, delay_s: float = 0.0) -> None:
        """This process is at `point`; the signal comes now, or after `delay_s` from another thread."""
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
    """Make the worker with this file send itself signal `number` at the `passings`-th passing of `point` from now on."""
    draft = path.with_suffix(".draft")
    draft.write_text(f"{point} {passings} {int(number)} {os.urandom(4).hex()}")
    draft.replace(path)


def install(failpoints: Failpoints) -> None:
    """Put the points around methods of the product and of its Kafka client, and lower the constants."""
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
    """The command `wordcount worker` with failpoints."""
    os.environ.setdefault("FAUST_LOOP", "uvloop")
    install(Failpoints(Path(os.environ[FILE_VARIABLE])))
    from app.cli import main as wordcount

    wordcount(["worker"])


if __name__ == "__main__":
    main()
