"""Hostile HTTP clients: malformed requests, and crowds of connections that stay open."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from tests.integration.hostile import assert_log_is_not_forged
from tests.integration.worker import Worker, wait_counted

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers


CROWD = 1500


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Raise the limit of open files of the test's process, which opens the connections of all clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, CROWD + 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def asked_raw(worker: Worker, request: bytes) -> bytes:
    """Send bytes on a new connection; return the answer when it ends, or after a second without another byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    answer = b""
    try:
        with suppress(ConnectionError, TimeoutError):
            writer.write(request)
            await writer.drain()
            while part := await asyncio.wait_for(reader.read(65_536), 1):
                answer += part
                if answer.endswith(b"}"):
                    break
    finally:
        writer.close()
    return answer


async def test_bad_http_is_refused_and_open_connections_keep_nobody_waiting(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 1)
    await kafka.produce(workers.topic, [b"word"])
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    ended = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for request, status in [
        (b"GET /v1/words/" + b"a" * 60_000 + ended, b"404"),
        (b"GET /v1/words/" + b"a" * 200_000 + ended, b"431"),
        (b"GET /v1/words/\xff\xfe" + ended, b"400"),
        (b"GET /v1/words/%ff" + ended, b"400"),
        (b"GET /v1/words/a%00b" + ended, b"404"),
        (b"GET /livez%0A" + ended, b"404"),
        (b"GET /v1/words/word HTTP/1.1\r\nHost: attacker.example\r\n\r\n", b"421"),
        (
            b"GET /v1/words/word HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
        ),
        (b"GET /v1/words/a\x00b" + ended, b"400"),
        (b"GET /v1/words?limit=99999999999999999999" + ended, b"422"),
        (b"GET /v1/top?k=-1" + ended, b"422"),
        (b"GET /v1/top?k=1&k=2" + ended, b"400"),
        (b"GET /../../etc/passwd" + ended, b"404"),
        (b"DELETE /v1/words/word" + ended, b"405"),
        (
            b"POST /v1/words HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789",
            b"405",
        ),
        (b"BREW /v1/top" + ended, b"4"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: \x1b[31m\r\nA\x00B: c\r\n\r\n", b"400"),
        (b"\x00" * 100_000, b"400"),
    ]:
        answer = await asked_raw(worker, request)
        assert answer.startswith(b"HTTP/1.1 " + status), (request[:60], answer[:200])
        assert b"\r\ncontent-type: application/problem+json\r\n" in answer
        assert b"\r\nserver:" not in answer
    async with AsyncExitStack() as opened:
        for _ in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
            opened.callback(writer.close)
            writer.write(b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\nX-Never-Ends: ")
            await writer.drain()
        started = time.monotonic()
        assert (await worker.json("/v1/words/word"))["count"] == 1
        assert time.monotonic() - started < 1
    assert_log_is_not_forged(worker)
    assert "Traceback" not in worker.log
    assert (await worker.stop())[0] == 0


@pytest.mark.usefixtures("many_descriptors")
async def test_a_crowd_of_connections_is_closed_in_10_s_and_leaves_the_worker_its_descriptors(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 4)
    await kafka.produce(workers.topic, [b"word"])
    worker = workers().start()
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    await worker.wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    async with AsyncExitStack() as opened:
        started = time.monotonic()
        crowd = []
        for number in range(CROWD):
            reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
            opened.callback(writer.close)
            crowd.append(reader)
            if number % 15 == 0:
                writer.write(b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\nX-Never-Ends: ")
        durations = []
        for _ in range(100):
            asked = time.monotonic()
            assert (await worker.json("/v1/words/word"))["count"] == 1
            durations.append(time.monotonic() - asked)
        assert sorted(durations)[94] < 0.25
        assert (await worker.metrics())["wordcount_http_connections"] <= 256
        await kafka.produce(workers.topic, [b"word %d" % number for number in range(20_000)])
        await wait_counted([worker], workers.bootstrap_servers, workers.topic)
        await asyncio.gather(*(read_to_the_end(reader) for reader in crowd))
        assert time.monotonic() - started < 30
    metrics = await worker.metrics()
    closed = {
        reason: metrics[f'wordcount_http_connections_closed_total{{reason="{reason}"}}']
        for reason in ("shed", "silent", "slow")
    }
    assert sum(closed.values()) == CROWD
    assert closed["shed"] >= CROWD - 256
    assert worker.log.count("HTTP connections were closed") <= 3
    assert "Too many open files" not in worker.log
    assert (await worker.stop())[0] == 0


async def read_to_the_end(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        await asyncio.wait_for(reader.read(-1), 30)
