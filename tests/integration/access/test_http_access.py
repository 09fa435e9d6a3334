"""A worker with tokens, TLS and a rate limit: who may ask what, also after files have changed, and that no secret is shown."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.integration.certificates import Authority
from tests.integration.conftest import KafkaClient, Workers
from tests.integration.operator_tools import wait_logged, wordcount
from tests.integration.worker import Worker, counts_of, lines, recount, wait_counted, wait_for

READER, FORMER, WRITER, NEW = (
    f"{name}-token-0123456789abcdef" for name in ("reader", "former", "writer", "new")
)
PEER_SECRET = "peers-secret-0123456789abcdef"
DATA = [
    "/v1/stats",
    "/v1/top",
    "/v1/words",
    "/v1/words/none",
    "/count/none/",
    "/metrics",
    "/version",
    "/nothing",
]
OPEN = ["/", "/livez", "/readyz", "/openapi.json"]
REFUSAL_S = 20


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Guarded:
    """The files of a worker with tokens and TLS."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        self.ca_file = self.authority.write_certificate(folder / "ca.pem")
        self.cert_file = folder / "server.pem"
        self.tokens_file = folder / "tokens"
        self.renew_certificate("one")
        self.write_tokens(f"reader read {READER}", f"former read {FORMER}", f"writer ingest {WRITER}")
        self.verify = ssl.create_default_context(cafile=self.ca_file)

    def renew_certificate(self, name: str) -> None:
        self.authority.write_signed(self.cert_file, name, hosts=["127.0.0.1"])

    def write_tokens(self, *entries: str) -> None:
        draft = self.tokens_file.with_suffix(".draft")
        draft.write_text("\n".join(entries) + "\n")
        draft.replace(self.tokens_file)

    def settings(self) -> dict[str, object]:
        return {
            "tokens_file": self.tokens_file,
            "peer_secret": PEER_SECRET,
            "http_tls_cert_file": self.cert_file,
        }

    def client(self, worker: Worker, token: str | None = None) -> httpx.AsyncClient:
        headers = {} if token is None else bearer(token)
        url = f"https://127.0.0.1:{worker.port}"
        return httpx.AsyncClient(base_url=url, verify=self.verify, headers=headers, timeout=10)

    async def status(self, worker: Worker, token: str | None, path: str = "/v1/stats") -> int:
        async with self.client(worker, token) as client:
            return (await client.get(path)).status_code

    def becomes(self, worker: Worker, token: str, status: int) -> Callable[[], Awaitable[bool]]:
        async def is_so() -> bool:
            return await self.status(worker, token) == status

        return is_so

    async def served(self, worker: Worker) -> str:
        """Common name of the certificate that a new connection gets."""
        async with self.client(worker) as client, client.stream("GET", "/livez") as answer:
            found = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
        return str(dict(part[0] for part in found["subject"])["commonName"])


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


async def test_a_worker_with_tokens_and_tls(guarded: Guarded, workers: Workers, kafka: KafkaClient) -> None:
    await kafka.create_topic(workers.topic, 2)
    await kafka.produce(workers.topic, lines(1, 500))
    worker = workers(**guarded.settings())
    worker.renew_client("https", verify=guarded.verify, headers=bearer(READER))
    await worker.start().wait_ready()
    await wait_counted([worker], kafka.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == await recount(kafka.bootstrap_servers, workers.topic)
    assert f"address=https://127.0.0.1:{worker.port}/" in worker.log

    answers = []
    async with guarded.client(worker) as client:
        for path in OPEN:
            assert (await client.get(path)).status_code == 200
        for path in DATA:
            for token, status in ((None, 401), (READER[:-1], 401), (WRITER, 403)):
                reply = await client.get(path, headers={} if token is None else bearer(token))
                answers.append(reply.text)
                assert reply.status_code == status, path
                assert 'scope "read"' in reply.json()["detail"]
                assert reply.headers["www-authenticate"].startswith("Bearer ")
        for path in DATA:
            allowed = await client.get(path, headers=bearer(READER))
            answers.append(allowed.text)
            assert allowed.status_code in {200, 404}, path
    with pytest.raises(httpx.TransportError):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}") as client:
            await client.get("/livez")

    got = wordcount(worker, "get", "w1", WORDCOUNT_TOKEN=READER)
    assert (got.returncode, got.stderr) == (0, "")
    refused = wordcount(worker, "get", "w1")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert 'needs a token with scope "read"' in refused.stderr
    wrong = wordcount(worker, "top", WORDCOUNT_TOKEN=WRITER)
    doctor = wordcount(worker, "doctor", WORDCOUNT_TOKEN=READER)
    assert "a worker of version" in doctor.stdout
    shown = wordcount(worker, "config", "show", WORDCOUNT_TOKEN=READER)
    assert "WORDCOUNT_TOKEN=***" in shown.stdout

    # One token is replaced by a hash of the new one, another removed; a connection that is open notices it too.
    async with guarded.client(worker, FORMER) as still_open:
        assert (await still_open.get("/v1/stats")).status_code == 200
        digest = hashlib.sha256(NEW.encode()).hexdigest()
        guarded.write_tokens(f"reader read {READER}", f"new read sha256:{digest}")
        await wait_for(guarded.becomes(worker, NEW, 200), "the new token")
        assert (await still_open.get("/v1/stats")).status_code == 401
    assert await guarded.status(worker, WRITER) == 401

    # What cannot be used changes nothing, and is told once.
    guarded.write_tokens(f"reader read {READER}", f"bad {WRITER} read")

    async def told() -> bool:
        assert await guarded.status(worker, NEW) == 200
        return "line 2: the scopes are wrong" in worker.log

    await wait_for(told, "a line that names the mistake")
    guarded.tokens_file.unlink()
    guarded.cert_file.write_text("no certificate")

    async def told_of_both() -> bool:
        assert await guarded.served(worker) == "one"
        assert await guarded.status(worker, NEW) == 200
        return worker.log.count("changed files cannot be used") == 3

    await wait_for(told_of_both, "lines about the missing and the wrong file")

    guarded.renew_certificate("two")

    async def renewed() -> bool:
        return await guarded.served(worker) == "two"

    await wait_for(renewed, "the new certificate")
    answers.append((await worker.get("/metrics")).text)
    code, _ = await worker.stop()
    assert code == 0

    commands = [done.stdout + done.stderr for done in (got, refused, wrong, doctor, shown)]
    key_lines = guarded.cert_file.read_text().partition("-----END PRIVATE KEY")[0].splitlines()[1:]
    for secret in (READER, FORMER, WRITER, NEW, PEER_SECRET, *key_lines):
        for text in (worker.log, worker.stdout, *commands, *answers):
            assert secret not in text


@pytest.mark.parametrize("known_by", ["own certificate", "authority"])
async def test_workers_with_tokens_and_tls_answer_for_each_other(
    guarded: Guarded, workers: Workers, kafka: KafkaClient, tmp_path: Path, known_by: str
) -> None:
    await kafka.create_topic(workers.topic, 4)
    await kafka.produce(workers.topic, lines(2, 500))
    made = [workers(**guarded.settings()) for _ in range(2)]
    if known_by == "authority":
        other = guarded.authority.write_signed(tmp_path / "other.pem", "other", hosts=["192.0.2.1"])
        made[1].settings["WORDCOUNT_HTTP_TLS_CERT_FILE"] = str(other)
        for worker in made:
            worker.settings["WORDCOUNT_HTTP_TLS_CA_FILE"] = str(guarded.ca_file)
    trusting = ssl.create_default_context(cafile=guarded.ca_file)
    trusting.check_hostname = False
    for worker in made:
        worker.renew_client("https", verify=trusting, headers=bearer(READER))
        worker.start()
    right = await recount(kafka.bootstrap_servers, workers.topic)
    for worker in made:
        await worker.wait_ready()

        async def complete(asked: Worker = worker) -> bool:
            stats = await asked.stats()
            return bool(stats.get("complete")) and stats["words"] == right.total()

        await wait_for(complete, f"{worker.name} answers for all partitions")
    both = await made[0].json("/v1/assignments")
    assert sorted(len(worker["active"]) for worker in both["workers"]) == [2, 2]
    async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{made[0].port}", verify=trusting) as client:
        refused = await client.post(
            "/peer/v1/ask", headers={"Wordcount-Deployment": f"{workers.group}/{workers.topic}"}
        )
    assert (refused.status_code, "no-proof" in refused.text) == (401, True)


async def test_a_client_above_the_rate_limit_waits_and_probes_do_not(
    workers: Workers, kafka: KafkaClient
) -> None:
    await kafka.create_topic(workers.topic)
    worker = workers(rate_limit_per_s=1)
    await worker.start().wait_ready()
    statuses = [await worker.status("/version") for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await worker.get("/version")
    assert refused.headers["retry-after"] == "1"
    assert [await worker.status("/readyz") for _ in range(20)] == [200] * 20


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda files: files.tokens_file.write_text(f"reader {READER} read\n"),
            'tokens" line 1: the scopes are wrong',
        ),
        (lambda files: files.tokens_file.write_text(""), 'tokens" has no token'),
        (lambda files: files.cert_file.write_text("no PEM"), 'WORDCOUNT_HTTP_TLS_CERT_FILE "'),
        (lambda files: files.cert_file.unlink(), "which is not a file"),
    ],
    ids=["scopes", "no token", "certificate", "no file"],
)
async def test_a_worker_does_not_start_with_files_that_cannot_be_used(
    guarded: Guarded, workers: Workers, spoil: Callable[[Guarded], object], said: str
) -> None:
    spoil(guarded)
    worker = workers(**guarded.settings()).start()
    assert await worker.ended(REFUSAL_S) == 2
    await wait_logged(worker, said)
    assert READER not in worker.log
