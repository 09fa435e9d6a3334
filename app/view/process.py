"""The process of a view: what it is made of, in which order it starts and stops, and with which error it ends."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import socket
from collections.abc import Sequence
from typing import Any, Final

import structlog

from app.config.settings import Settings
from app.config.text import policies_of, tokenizer_of
from app.config.windows import windows_of
from app.kafka.clients import connection, step_timeout_s
from app.machine.memory_limit import memory_budget
from app.produce.receipt import NoIngest
from app.reads.holdings import ViewHoldings
from app.reads.local import LocalReads
from app.reads.parties import Parties
from app.reads.peers import Deployment, Peers
from app.reads.proof import Proofs
from app.reads.queries import WordQueries
from app.reads.store_reads import StoreReads
from app.reads.window_answers import WindowSize
from app.view.changelog import FollowedChangelog
from app.view.followed_topic import FollowedTopic
from app.view.health import broker_check, followed_check, restored_check
from app.web.asgi import create_asgi_app
from app.web.connections import limits_for
from app.web.resources.tokens import explainer
from app.web.resources.version import version_info
from app.web.server import WebServer, bound_socket
from app.worker.ending import Deadline, say
from app.worker.health import Health
from app.worker.http_options import (
    access_of,
    allowed_hosts,
    audiences_of,
    intake_of,
    normaliser,
    server_tls,
)
from app.worker.loop_delay import watch_loop
from app.worker.metrics import Metrics
from tables.background import runner
from tables.cache.vocabulary import VocabularyLimit
from tables.clock import now_s
from tables.errors import WordcountError
from tables.kafka.changelog_tail import KafkaChangelogTail
from tables.kafka.offsets import TopicOffsets
from tables.model.rows import Owner
from tables.pace.memory import MemoryBudget
from tables.partitions.changes import Changes
from tables.partitions.followers import Followers
from tables.partitions.services import CLOSE_THREADS, FollowerServices
from tables.store.folder_lock import StateLock
from tables.store.stores import Stores

_PROCESS_NAME_BYTES: Final = 8

_log = structlog.get_logger(__name__)


class View:
    """Follows all partitions and serves HTTP until `run` is told to stop.

    Args:
        settings: settings that were checked.
    """

    def __init__(self, settings: Settings) -> None:
        topics, kafka = settings.topics, connection(settings)
        self._settings = settings
        self._stopping = asyncio.Event()
        self.error: Exception | None = None
        """The error because of which the view ends; None = there is no error."""
        timeout_s = step_timeout_s(settings)
        self._offsets = TopicOffsets(kafka, timeout_s)
        self._readable = TopicOffsets(kafka, timeout_s, settings.isolation)
        self._memory = MemoryBudget(memory_budget(settings))
        vocabulary = VocabularyLimit(1)
        changes, changelog = Changes(), FollowedChangelog(topics.changelog, self._offsets)
        stores = Stores(settings.state_dir / topics.changelog)
        self._memory.follow(stores)
        self._followers = Followers(
            stores,
            FollowerServices(
                owner=Owner(settings.group, settings.topic),
                changelog=changelog,
                tail=KafkaChangelogTail(topics.changelog, kafka, timeout_s),
                run=runner("store", 1),
                run_close=runner("close", CLOSE_THREADS),
                run_tail=runner("follow", 1),
                vocabulary=vocabulary,
                changes=changes,
                memory=self._memory,
                clock=now_s,
                chance=random.random,
            ),
            on_fatal=self.end,
        )
        self._topic = topic = FollowedTopic(
            settings.topic, self._partition_count, self._followers, self._memory.divide, now_s
        )
        self._metrics = Metrics()
        self._holdings = ViewHoldings(
            self._followers, lambda numbers: self._readable.ends(settings.topic, numbers)
        )
        query_timeout_s = settings.query_timeout_ms / 1000
        versions = version_info()
        self._local = LocalReads(
            self._holdings,
            StoreReads(changes, self._followers.rebuild_corrupted, query_timeout_s),
            process=secrets.token_hex(_PROCESS_NAME_BYTES),
            version=versions.version,
        )
        peers = Peers(Deployment(settings.group, settings.topic), Proofs(), self._metrics)
        parties = Parties(self._local, lambda: topic.partitions, lambda: None, peers)
        self._health = Health(
            {
                "broker": lambda: broker_check(topic.heard_age_s(), topic.waits),
                "assignment": lambda: followed_check(
                    topic.partitions, len(self._holdings.followed()), topic.waits
                ),
                "restored": lambda: restored_check(self._holdings.standbys(), changelog.waiting),
            }
        )
        self._metrics.describe(versions, self._memory.total_bytes)
        self._metrics.watch(self._holdings.partitions, self._holdings.standbys)
        self._audiences = audiences_of(settings, self._metrics.http)
        changes.subscribe(lambda _: self._audiences.moved())
        words = tokenizer_of(settings)
        self._asgi_app = create_asgi_app(
            WordQueries(parties, query_timeout_s),
            self._health,
            self._metrics.registry,
            versions,
            normaliser(words),
            allowed_hosts=allowed_hosts(settings),
            access=access_of(settings),
            configured_windows=[WindowSize(one.size_s, one.advance_s) for one in windows_of(settings).listed],
            audiences=self._audiences,
            intake=intake_of(
                settings,
                NoIngest("a view takes no texts", "send them to a worker with WORDCOUNT_INGEST=true"),
                self._metrics.http,
            ),
            explain=explainer(words, policies_of(settings)),
            observer=self._metrics.http,
        )
        self._tls = server_tls(settings)

    def end(self, error: Exception) -> None:
        """Stop the view because of `error`; later errors are ignored."""
        if self.error is None:
            self.error = error
            if not isinstance(error, WordcountError):
                _log.error("unexpected error", error=repr(error), exc_info=error)
            self._stopping.set()

    async def run(self) -> None:
        """Follow and answer until SIGTERM, Ctrl-C or `end`, then close everything.

        Raises:
            ConfigurationError, StateLockedError: the state folder or the port cannot be used.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        lock = StateLock(settings.state_dir)
        listener = bound_socket(settings.http_host, settings.http_port)
        tasks = [
            asyncio.create_task(self._look_at_partitions()),
            asyncio.create_task(watch_loop(lambda delay_s, _: self._metrics.loop_delayed(delay_s))),
        ]
        deadline = Deadline(settings.shutdown_timeout_s)
        try:
            async with self._server([listener]):
                await self._stopping.wait()
                self._health.start_draining("stopping")
                if self.error is None:
                    await asyncio.sleep(settings.drain_s)
                self._audiences.close()
                deadline.start()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            # Questions have ended with the server.
            await self._followers.close()
            self._local.close()
        finally:
            for offsets in (self._offsets, self._readable):
                await offsets.close()
            lock.release()

    def _server(self, listeners: Sequence[socket.socket]) -> Any:
        return WebServer(
            self._asgi_app,
            lambda: listeners,
            limits=lambda: limits_for(self._settings.max_word_bytes),
            observer=self._metrics.http,
            tls=self._tls,
            is_draining=lambda: self._health.is_draining,
        )

    async def _look_at_partitions(self) -> None:
        """Follow as many partitions as the input topic has, also when it gets more."""
        while True:
            try:
                pause_s = await self._topic.look()
            except Exception as error:  # noqa: BLE001 - nobody knows how to go on
                self.end(error)
                return
            await asyncio.sleep(pause_s)

    async def _partition_count(self) -> int:
        return (await self._offsets.describe(self._settings.topic)).partitions


def run_view(settings: Settings) -> Exception | None:
    """Run a view in this process until it is stopped; return the error because of which it ended, or None."""

    async def run() -> Exception | None:
        view = View(settings)
        await view.run()
        return view.error

    from uvloop import run as run_loop

    error: Exception | None = run_loop(run())
    if error is not None:
        say(str(error) if isinstance(error, WordcountError) else f"unexpected error: {error!r}")
    return error
