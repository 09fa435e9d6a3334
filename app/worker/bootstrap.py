"""The composition root: builds all parts of a worker from the settings, without connecting to anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from agents.source.assignor import GroupFacts
from agents.source.group_map import Card
from agents.source.worker_app import ConsumerOptions
from agents.text.tally import RecordTally
from agents.topology import TopologyOptions, build_topology
from app.config.kafka_auth import faust_credentials
from app.config.settings import Settings
from app.config.text import policies_of, tokenizer_of, value_format_of
from app.config.windows import windows_of
from app.kafka import handshake
from app.kafka.access import needed_rights
from app.kafka.clients import connection
from app.kafka.topics import ensure_topics
from app.machine.memory_limit import memory_budget
from app.produce.ingest import KafkaIngest
from app.produce.receipt import NoIngest
from app.reads.window_answers import WindowSize
from app.web.asgi import create_asgi_app
from app.web.connections import limits_for
from app.web.resources.tokens import explainer
from app.web.resources.version import version_info
from app.web.server import WebServer
from app.worker import logs
from app.worker.advertised import advertised_url, worker_addresses
from app.worker.console import CountPrinter, tokens_of
from app.worker.ending import Deadline
from app.worker.faust_app import WordcountApp, Worker, WorkerParts
from app.worker.group_reads import build_reads
from app.worker.group_watches import build_watches
from app.worker.health import Health, assignment_check, broker_check, restored_check
from app.worker.http_options import (
    access_of,
    allowed_hosts,
    audiences_of,
    intake_of,
    normaliser,
    server_tls,
)
from app.worker.metrics import Metrics
from app.worker.preparation import Preparation, faust_port
from app.worker.tuning import tune_process
from app.worker.window_metrics import windows_of_shards
from tables.kafka import connections
from tables.kafka.connections import Refusal
from tables.kafka.rights import Rights
from tables.pace.memory import MemoryBudget
from tables.pace.policy import FlushPolicy
from tables.partitions.shard import Shard

BATCHES_PER_POLL = 50
"""Largest number of batches that a poll returns."""

FLUSH_SHARE = 0.6
"""Share of the shutdown time-out that the last flush may take."""

_log = structlog.get_logger(__name__)

REFUSAL_LOG_S = 600.0
"""Seconds within which a reason for a refused login is logged once."""

METADATA_MAX_AGE_MS = 10_000
"""Longest time until new partitions of the input topic are noticed."""


def build_worker(settings: Settings, *, print_counts: bool = False) -> WordcountApp:
    """Build a Faust app that counts as `settings` say.

    Also sets options of the process: the limit of open files, the GIL's switch interval, garbage collection, allocator, logs.

    Args:
        settings: settings that were checked.
        print_counts: whether to print each counted word, see `app.worker.console`.

    Raises:
        ConfigurationError: options of the tokeniser, certificates or tokens are wrong, or no record can be made of a text.
    """
    tune_process()
    logs.install()
    words = tokenizer_of(settings)
    text_format = value_format_of(settings)
    tally = RecordTally(words, text_format, policies_of(settings))
    metrics = Metrics()
    memory = MemoryBudget(memory_budget(settings), windowed=bool(settings.windows))
    kafka = connection(settings)
    faust_app = _faust_app(settings, memory)

    def shards() -> Mapping[int, Shard]:
        return topology.partitions.shards()

    printer = CountPrinter(tokens_of(words, text_format, tally), shards)
    topology = build_topology(
        faust_app,
        TopologyOptions(
            topic=settings.topic,
            group=settings.group,
            profile=tally.identity,
            connection=kafka,
            rights=needed_rights(settings, "worker"),
            state_folder=settings.state_dir,
            policy=FlushPolicy(interval_ms=settings.flush_interval_ms, flush_bytes=settings.flush_bytes),
            isolation=settings.isolation,
            vocabulary_words=settings.vocabulary_words,
            request_timeout_s=settings.request_timeout_ms / 1000,
            compression=settings.compression,
            memory=memory,
            stall_timeout_s=settings.stall_timeout_s,
            ensure_topics=lambda: ensure_topics(settings),
            windows=windows_of(settings).rules,
            dropped_sizes=windows_of(settings).dropped_sizes,
            witness=printer if print_counts else None,
        ),
        tally,
        metrics,
        on_fatal=faust_app.end,
    )
    versions, preparation = version_info(), Preparation(settings)

    def own_url() -> str:
        return advertised_url(settings, preparation.listeners)

    reads = build_reads(
        settings,
        faust_app,
        topology,
        metrics,
        partition_count=lambda: partition_count(faust_app, settings.topic),
        url=own_url,
        version=versions.version,
    )
    metrics.describe(versions, memory.total_bytes)
    metrics.watch(reads.local.partitions, reads.local.standbys, topology.partitions.store_bytes)
    if settings.windows:
        metrics.watch_windows(lambda: windows_of_shards(shards()))
    health = Health(
        {
            "broker": lambda: broker_check(faust_app.consumer.membership, handshake.latest(settings)),
            "assignment": lambda: assignment_check(faust_app),
            "address": reads.address.check,
            "restored": lambda: restored_check(reads.local.partitions(), topology.partitions.errors()),
        }
    )
    watches = build_watches(settings, faust_app, reads, metrics.watches, versions.version)
    audiences = audiences_of(settings, metrics.http)
    topology.partitions.changes.subscribe(lambda _: audiences.moved())
    if watches is not None:
        topology.partitions.changes.subscribe(lambda _: watches.moved())
    ingest = KafkaIngest(settings) if settings.ingest else None
    asgi_app = create_asgi_app(
        reads.queries,
        health,
        metrics.registry,
        versions,
        normaliser(words),
        peer_answers=reads,
        allowed_hosts=allowed_hosts(settings),
        access=access_of(settings),
        workers=lambda: worker_addresses(faust_app.consumer.membership.group_map),
        configured_windows=[WindowSize(one.size_s, one.advance_s) for one in windows_of(settings).listed],
        audiences=audiences,
        watch_states=watches,
        intake=intake_of(settings, ingest or _no_ingest(), metrics.http),
        explain=explainer(words, policies_of(settings)),
        observer=metrics.http,
    )
    tls = server_tls(settings)

    def card() -> Card:
        return Card(own_url(), topology.partitions.following(), topology.partitions.stored())

    def loop_delayed(delay_s: float, by_others_s: float) -> None:
        metrics.loop_delayed(delay_s)
        courtesy = topology.readable.courtesy
        # Pauses of the counting help only where the counting is what the event loop waits for.
        courtesy.delayed(by_others_s)
        metrics.flush_pause(courtesy.level)

    connections.watch(_refusal_log(settings))
    faust_app.parts = WorkerParts(
        topology=topology,
        consumer_options=_consumer_options(settings, memory, Rights.of(kafka), card),
        prepare=lambda: preparation.run(faust_app.conf),
        web_server=lambda: WebServer(
            asgi_app,
            lambda: preparation.listeners,
            limits=lambda: limits_for(settings.max_word_bytes),
            observer=metrics.http,
            tls=tls,
            is_draining=lambda: health.is_draining,
            loop=faust_app.loop,
            beacon=faust_app.beacon,
        ),
        start_draining=health.start_draining,
        end_streams=audiences.close,
        close_ingest=_nothing if ingest is None else ingest.close,
        drain_s=settings.drain_s,
        watches=watches,
        close_reads=reads.close,
        watch_address=reads.address.watch,
        loop_delayed=loop_delayed,
        deadline=Deadline(settings.shutdown_timeout_s),
        flush_timeout_s=settings.shutdown_timeout_s * FLUSH_SHARE,
    )
    return faust_app


def _no_ingest() -> NoIngest:
    return NoIngest("WORDCOUNT_INGEST is false: this worker takes no texts", "set WORDCOUNT_INGEST=true")


async def _nothing() -> None:
    """Close nothing."""


def partition_count(faust_app: WordcountApp, topic: str) -> int | None:
    """Return the number of partitions of the input topic; None before the consumer knows the number."""
    count: int | None = faust_app.consumer.topic_partitions(topic)
    return count


def _faust_app(settings: Settings, memory: MemoryBudget) -> WordcountApp:
    # Every option is passed explicitly: Faust would read missing options from variables such as WEB_PORT, which Kubernetes sets.
    session_s = settings.session_timeout_ms / 1000
    return WordcountApp(
        settings.group,
        Worker=Worker,
        broker=[f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
        broker_credentials=faust_credentials(settings),
        broker_client_id="wordcount",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=min(3.0, session_s / 3),
        broker_rebalance_timeout=max(30.0, session_s),
        broker_request_timeout=max(40.0, session_s + 5),
        broker_max_poll_records=BATCHES_PER_POLL,
        broker_max_poll_interval=1000.0,
        broker_check_crcs=True,
        consumer_max_fetch_size=memory.bounds.fetch_bytes,
        consumer_auto_offset_reset="none",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_group_instance_id=settings.group_instance_id,
        processing_guarantee="at_least_once",
        stream_buffer_maxsize=4096,
        stream_wait_empty=False,
        store="memory://",
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        datadir=str(Path(settings.state_dir) / "faust"),
        web_enabled=True,
        web_bind=settings.http_host,
        web_port=faust_port(settings),
        worker_redirect_stdouts=True,
        logging_config=logs.logging_config(settings.log_level, settings.log_format),
        autodiscover=False,
    )


def _consumer_options(
    settings: Settings, memory: MemoryBudget, rights: Rights, card: Callable[[], Card]
) -> ConsumerOptions:
    return ConsumerOptions(
        facts=GroupFacts(settings.topic, settings.standbys, card),
        isolation=settings.isolation,
        topic=settings.topic,
        rights=rights,
        request_timeout_s=settings.request_timeout_ms / 1000,
        max_record_bytes=settings.max_record_bytes,
        memory=memory,
        with_times=windows_of(settings).need_record_times,
    )


def _refusal_log(settings: Settings) -> Callable[[Refusal], None]:
    """Return a function that logs why a broker refuses this worker, each reason once in `REFUSAL_LOG_S`."""
    told_s: dict[str, float] = {}

    def tell(refusal: Refusal) -> None:
        error = handshake.explained(settings, refusal)
        if refusal.at_s - told_s.get(error.message, -REFUSAL_LOG_S) >= REFUSAL_LOG_S:
            told_s[error.message] = refusal.at_s
            _log.error("a broker does not let this worker in; the worker tries again", reason=str(error))

    return tell
