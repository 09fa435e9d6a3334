"""The cluster of a chaos run: a broker, a proxy, three workers, a producer and readers; it also compares the counts with a recount."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
from aiokafka.errors import KafkaError

from app.local.embedded import EmbeddedBroker
from tables.model.names import changelog_topic
from tests.chaos import killable_worker
from tests.chaos.feed import PARTITIONS, TOPIC, Feed
from tests.chaos.oracle import Answer, Recount
from tests.chaos.proxy import TcpProxy
from tests.chaos.security import broker_security, worker_security
from tests.chaos.window_rows import Compared
from tests.chaos.windowed import SETTINGS as WINDOW_SETTINGS
from tests.chaos.windowed import TOPIC_SETTINGS, Times
from tests.integration.conftest import EAGER_CLEANING, KafkaClient
from tests.integration.worker import Worker, end_offsets, free_port, positions_of, wait_for

SESSION_TIMEOUT_S = 2.5
COMPACTION_LAG_MS = 20_000
"""Longer than a partition is without an owner; the broker compacts within half a second after this time."""

RECOVERY_BOUND_S = 60.0
"""How long a recovery may take on a machine that has nothing else to do."""

CAUGHT_UP_S = 60.0
WATCHED = ("w1", "w2", "w5", "r7")
GROUP = "chaos"
EAGER_CHANGELOG = {
    "cleanup.policy": "compact",
    "compression.type": "producer",
    "min.cleanable.dirty.ratio": "0.01",
    "segment.ms": "1000",
    "delete.retention.ms": "1000",
}


class ChaosError(AssertionError):
    """A promise of Wordcount that was broken."""


class Cluster:
    """The cluster of one seed. `workers[1]` reaches the broker through `proxy`; `workers[2]` is a spare that joins for some faults.

    Args:
        folder: holds the data of broker and workers.
        seed: seed of the words.
        compaction_lag_ms: compaction lag of the changelog.
        secured: whether workers reach the broker over TLS, with client certificates; the worker behind the proxy does not, because the
            proxy has to read the requests.
        windowed: whether windows of event time are counted and compared, too.

    Attributes:
        windows: what was compared of windows in changelogs and stores.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        compaction_lag_ms: int = COMPACTION_LAG_MS,
        *,
        secured: bool = False,
        windowed: bool = False,
    ) -> None:
        self.folder = folder
        self.recovery_bound_s = RECOVERY_BOUND_S
        self.compaction_lag_ms = compaction_lag_ms
        self.sigkills = self.words_compared = self.differing_words = self.answers_checked = 0
        self.windowed = windowed
        self.windows = Compared()
        broker_port, worker_port, proxied_port, proxy_port, controller_port = (free_port() for _ in range(5))
        host = "127.0.0.1"
        kind = "SSL" if secured else "PLAINTEXT"
        security = worker_security(folder, host) if secured else {}
        self.broker = EmbeddedBroker(
            folder / "broker",
            port=broker_port,
            settings={
                **EAGER_CLEANING,
                # A broker that was paused or starved is let in again at once where its session has expired.
                "broker.session.timeout.ms": "3000",
                "listeners": f"PLAINTEXT://{host}:{broker_port},WORKERS://{host}:{worker_port},"
                f"PROXIED://{host}:{proxied_port},CONTROLLER://{host}:{controller_port}",
                "advertised.listeners": f"PLAINTEXT://{host}:{broker_port},WORKERS://{host}:{worker_port},"
                f"PROXIED://{host}:{proxy_port}",
                "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,WORKERS:{kind},PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
                **(broker_security(folder) if secured else {}),
                "inter.broker.listener.name": "PLAINTEXT",
                "controller.quorum.voters": f"1@{host}:{controller_port}",
            },
        )
        self.servers = f"{host}:{broker_port}"
        self.proxy = TcpProxy(proxy_port, proxied_port)
        self.workers = [
            self._worker(1, f"{host}:{proxy_port}", {})
            if number == 1
            else self._worker(number, f"{host}:{worker_port}", security)
            for number in range(3)
        ]
        self.feed = Feed(self.servers, seed, Times(seed) if windowed else None)
        self.recount = Recount(self.servers, TOPIC, PARTITIONS, WATCHED, windowed=windowed)
        self._answers: list[Answer] = []
        self._seen: Counter[int] = Counter()
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start broker, topics, two workers, producer and readers; return when the workers are ready."""
        await asyncio.to_thread(self.broker.start)
        await self.proxy.start()
        kafka = KafkaClient(self.servers)
        await kafka.create_topic(TOPIC, PARTITIONS, TOPIC_SETTINGS if self.windowed else None)
        await kafka.create_topic(
            changelog_topic(GROUP, TOPIC),
            PARTITIONS,
            EAGER_CHANGELOG | {"min.compaction.lag.ms": str(self.compaction_lag_ms)},
        )
        for worker in self.base:
            worker.start()
        await self.all_ready()
        self.feed.start()
        self._readers = [asyncio.create_task(self._read(worker)) for worker in self.workers]

    async def close(self) -> None:
        """End readers, producer, workers, proxy and broker, also those that are paused or have ended already."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self.feed.close()
        for worker in self.workers:
            with suppress(ProcessLookupError):
                await worker.close()
        await self.proxy.close()
        if self.broker.is_running():
            os.kill(self.broker.pid, signal.SIGCONT)
        await asyncio.to_thread(self.broker.kill)

    @property
    def base(self) -> list[Worker]:
        """The workers that run between faults."""
        return self.workers[:2]

    @property
    def running(self) -> list[Worker]:
        """Workers whose process lives, including paused workers."""
        return [worker for worker in self.workers if worker.is_running()]

    async def kill(self, worker: Worker) -> None:
        """Kill a worker with SIGKILL, and count the kill."""
        await worker.kill()
        self.sigkills += 1

    def failpoint_file(self, worker: Worker) -> Path:
        """Return the path of the file that arms a point of this worker (see `killable_worker`)."""
        return self.folder / f"{worker.name}.failpoint"

    def wipe(self, worker: Worker) -> None:
        """Remove the state folder of a worker that does not run."""
        assert not worker.is_running()
        shutil.rmtree(worker.state_dir, ignore_errors=True)

    async def all_ready(self) -> None:
        """Wait until every running worker is ready."""
        for worker in self.running:
            await worker.wait_ready()

    async def recovered(self, since: float, among: Sequence[Worker] | None = None) -> float:
        """Wait until every record that the topic has now is counted.

        Args:
            since: time on the monotonic clock from which recovery is measured.
            among: workers that must answer for all partitions; None = all that run.

        Returns:
            Seconds from `since` until every record is counted.

        Raises:
            ChaosError: recovery takes longer than `recovery_bound_s`, or one of the workers ended by itself.
        """
        ends = await self._ends()
        asked = self.running if among is None else among

        async def counted() -> bool:
            at = await self._positions(asked)
            return all(at.get(number, -1) >= end for number, end in ends.items())

        try:
            await wait_for(counted, f"all partitions count again up to {ends}", self.recovery_bound_s)
        except AssertionError as error:
            raise ChaosError(f"{error}; at {await self._positions(asked)}") from None
        return time.monotonic() - since

    async def compare(self) -> None:
        """Pause the producer, compare all counts, positions and earlier answers with the recount, and resume the producer.

        Raises:
            ChaosError: a count, position or answer differs, or a reader failed; the message names the difference.
        """
        await self.feed.pause()
        try:
            deadline = time.monotonic() + CAUGHT_UP_S
            while True:
                ends = await self._caught_up()
                found, positions = await self._counts()
                truth_ends = await self.recount.advance()
                # A late request of a producer that was given up may have arrived, or a partition may have moved.
                if truth_ends == ends == positions and await self.windows.compare_changelog(
                    self.servers, changelog_topic(GROUP, TOPIC), ends, self.recount.windows
                ):
                    break
                if time.monotonic() > deadline:
                    raise ChaosError(
                        f"no quiet moment to compare at: positions {positions}, ends {truth_ends}"
                    )
                await asyncio.sleep(0.2)
        finally:
            self.feed.resume()
        truth = self.recount.counts
        self.words_compared += len(truth)
        differing = {word for word in truth.keys() | found.keys() if truth[word] != found[word]}
        self.differing_words += len(differing)
        if differing:
            some = ", ".join(
                f"{word}: {found[word]} for {truth[word]}" for word in sorted(differing, key=len)[:8]
            )
            raise ChaosError(f"{len(differing)} of {len(truth)} words differ: {some}")
        if self.windows.differing:
            raise ChaosError(str(self.windows))
        self._check_answers()
        for reader in self._readers:
            if reader.done() and (error := reader.exception()) is not None:
                raise error

    async def compare_stores(self) -> None:
        """Stop producer and workers, and compare the windows in their stores, of which each partition must have one at its end.

        Raises:
            ChaosError: a count differs, or no store has all records of a partition.
        """
        await self.feed.close()
        await self._caught_up()
        for worker in self.running:
            await worker.stop()
        ends = await self.recount.advance()
        folders = [store for worker in self.workers for store in worker.state_dir.glob("*-changelog/*")]
        whole = await asyncio.to_thread(self.windows.compare_stores, folders, ends, self.recount.windows)
        if self.windows.differing:
            raise ChaosError(str(self.windows))
        if missing := ends.keys() - whole:
            raise ChaosError(f"no store has all records of the partitions {sorted(missing)}")

    async def changelog_records(self) -> tuple[int, int]:
        """Return the numbers of changelog records that were appended, and that are left after compaction."""
        name = changelog_topic(GROUP, TOPIC)
        kept = len(await KafkaClient(self.servers).read_all(name))
        return sum((await end_offsets(self.servers, name)).values()), kept

    def logged(self, text: str) -> int:
        """Return how often `text` occurs in the logs of all workers."""
        return sum(worker.log.count(text) for worker in self.workers if worker.log_path.exists())

    def _worker(self, number: int, servers: str, security: Mapping[str, str]) -> Worker:
        script = Path(killable_worker.__file__)
        worker = Worker(
            f"worker-{number}",
            self.folder,
            {
                "WORDCOUNT_BOOTSTRAP_SERVERS": servers,
                "WORDCOUNT_TOPIC": TOPIC,
                "WORDCOUNT_GROUP": GROUP,
                "WORDCOUNT_SESSION_TIMEOUT_MS": str(int(SESSION_TIMEOUT_S * 1000)),
                **security,
                **(WINDOW_SETTINGS if self.windowed else {}),
            },
            [sys.executable, str(script)],
        )
        worker.settings[killable_worker.FILE_VARIABLE] = str(self.failpoint_file(worker))
        return worker

    async def _ends(self) -> dict[int, int]:
        """Return the end offsets by partition as soon as the broker answers; raise ChaosError after `recovery_bound_s`."""
        deadline = time.monotonic() + self.recovery_bound_s
        while True:
            try:
                return await asyncio.wait_for(end_offsets(self.servers, TOPIC), 10)
            except (KafkaError, TimeoutError, OSError) as error:
                if time.monotonic() > deadline:
                    raise ChaosError(f"the broker does not tell its end offsets: {error!r}") from error
                await asyncio.sleep(0.1)

    async def _caught_up(self) -> dict[int, int]:
        ends = await self._ends()

        async def counted() -> bool:
            nonlocal ends
            if await self._positions(self.running) == ends:
                return True
            ends = await self._ends()
            return False

        try:
            await wait_for(counted, f"positions at the end offsets {ends}", CAUGHT_UP_S)
        except AssertionError as error:
            raise ChaosError(f"{error}; at {await self._positions(self.running)}") from None
        return ends

    async def _counts(self) -> tuple[Counter[str], dict[int, int] | None]:
        """Return all counts and their positions; the positions are None if they changed, or if a worker did not answer.

        Raises:
            ChaosError: two workers answer differently at the same positions.
        """
        found: Counter[str] = Counter()
        positions: dict[int, int] | None = None
        for worker in self.running:
            counts, at = await self._counts_of(worker)
            if at is None or (positions is not None and positions != at):
                return counts, None
            if positions is not None and counts != found:
                raise ChaosError(f"{worker.name} and the other workers differ about counts at {at}")
            found, positions = counts, at
        return found, positions

    async def _counts_of(self, worker: Worker) -> tuple[Counter[str], dict[int, int] | None]:
        found: Counter[str] = Counter()
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            response = await worker.get("/v1/words", limit=1000, **({"cursor": cursor} if cursor else {}))
            if response.status_code != 200:
                return found, None
            page = response.json()
            seen.add(repr(page["as_of"]))
            found.update({entry["word"]: entry["count"] for entry in page["words"]})
            cursor = page["next_cursor"]
            if len(seen) > 1:
                return found, None
            if cursor is None:
                return found, {int(number): position for number, position in page["as_of"].items()}

    async def _positions(self, workers: Sequence[Worker]) -> dict[int, int]:
        """Return the positions that each of `workers` answers at least; without the partitions that one of them does not answer."""
        for worker in workers:
            if not worker.is_running():
                raise ChaosError(f"{worker.name} ended by itself with {worker.exit_code}")
        return await positions_of(workers)

    async def _read(self, worker: Worker) -> None:
        """Ask a worker repeatedly, keep its answers for `compare`, and check that positions never go back.

        No position may be below one in an answer that any worker gave before the question was asked.
        """
        chance = random.Random(worker.name)
        while True:
            await asyncio.sleep(0.05)
            if not worker.is_running():
                continue
            word = chance.choice(WATCHED)
            with suppress(httpx.HTTPError):
                seen = Counter(self._seen)
                response = await worker.get(f"/v1/words/{word}")
                if response.status_code != 200:
                    continue
                body = response.json()
                as_of = {int(number): position for number, position in body["as_of"].items()}
                for number, position in as_of.items():
                    if position < seen[number]:
                        raise ChaosError(
                            f"{worker.name} partition {number} went back from {seen[number]} to {position}"
                        )
                    self._seen[number] = max(position, self._seen[number])
                self._answers.append(Answer(worker.name, word, body["count"], as_of))

    def _check_answers(self) -> None:
        """Check that every answer so far was exactly the count at its `as_of`."""
        waiting = []
        for answer in self._answers:
            if any(upto > self.recount.next[number] for number, upto in answer.as_of.items()):
                waiting.append(answer)
                continue
            truth = self.recount.at(answer.word, answer.as_of)
            if truth != answer.count:
                self.differing_words += 1
                raise ChaosError(f"{answer} was answered, the recount has {truth}")
            self.answers_checked += 1
        self._answers = waiting
