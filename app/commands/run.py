"""`wordcount run`: starts everything on this machine: an embedded Kafka, a worker, a text, and a live table of its words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.config.types import variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from app.config.settings import Settings
    from app.local.worker import LocalWorker
    from app.produce.text_files import LineBlock

REFRESH_S = 0.5
TOP_WORDS = 10
_TOPIC_PREFIX = "run-"
_HOST = "127.0.0.1"
_WINDOWS = "1m,1h"


def run(
    text: Annotated[
        str | None, typer.Option("--text", metavar="PATH", help='Text to count; "-" is standard input.')
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when the text is counted and every count is verified.")
    ] = False,
    loop: Annotated[
        bool | None,
        typer.Option(
            help="Send the text slowly again, as long as the table is shown. Default: for the sample text, in a terminal."
        ),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Keeps broker, state and logs.")] = Path(".wordcount"),
) -> None:
    """Count a text on a local Kafka: nothing but Python is needed. Without a text: Python's own manual pages."""
    from rich.console import Console

    from app.kafka.topics import ensure_topics
    from app.local.embedded import EmbeddedBroker
    from app.local.flow import Flow
    from app.local.worker import LocalWorker

    # SIGTERM ends the command as Ctrl-C does, so that broker and worker are stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False, soft_wrap=True)
    _show_downloads()
    texts = _text(text, loop=bool(loop), once=once)
    began, port = time.monotonic(), _free_port()
    console.print(f"live page, in a few seconds: http://{_HOST}:{port}/")
    console.print("starting Kafka …")
    with EmbeddedBroker(folder / "broker") as broker:
        console.print(f"Kafka at {broker.bootstrap_servers}, after {time.monotonic() - began:.1f} s")
        settings = _settings(broker.bootstrap_servers, folder, port)
        asyncio.run(_forget_earlier_runs(settings))
        shutil.rmtree(settings.state_dir, ignore_errors=True)
        asyncio.run(ensure_topics(settings))
        with LocalWorker(_variables(settings), folder / "run" / "worker.log") as worker:
            console.print(f"counting {settings.topic}, also shown by the live page while it counts")
            lines = _produce(settings, texts(int(time.time() * 1000)), console)
            worker.wait_ready()
            _wait_counted(worker, lines, console)
            console.print(f"{lines:,} lines counted {time.monotonic() - began:.1f} s after the start")
            if once:
                console.print(_table(worker))
                _verify(settings, worker, console)
            elif loop if loop is not None else text is None and console.is_terminal:
                with Flow(settings, partial(texts, None)) as flow:
                    _show(worker, console, flow.check)
            else:
                _show(worker, console)


def _show_downloads() -> None:
    """Show the log line of the download, because the first start waits for the download of Kafka."""
    downloads = logging.getLogger("app.local.jars")
    downloads.addHandler(logging.StreamHandler())
    downloads.setLevel(logging.INFO)


def _text(name: str | None, *, loop: bool, once: bool) -> Callable[[int | None], Iterator[LineBlock]]:
    """Return what reads the text, given the time at which the sample text ends: only the sample text has times, and None = no times.

    Raises:
        ConfigurationError: the text cannot be read, or not again although it has to.
    """
    from app.local.sample_text import sample_blocks
    from app.produce.text_files import STDIN, TextFiles
    from tables.errors import ConfigurationError

    if loop and (once or name == STDIN):
        what = "--once ends when the text is counted" if once else "standard input can be read only once"
        raise ConfigurationError(f"{what}, so the text cannot be sent again", "leave --loop out")
    if name is None:
        return sample_blocks
    files = TextFiles([name])
    return lambda _: files.blocks()


def _settings(bootstrap_servers: str, folder: Path, port: int) -> Settings:
    from app.config.loading import load_settings

    return load_settings(
        bootstrap_servers=bootstrap_servers,
        security_protocol="PLAINTEXT",
        topic=f"{_TOPIC_PREFIX}{datetime.now(UTC):%Y%m%d-%H%M%S}",
        group="run",
        state_dir=folder / "run" / "state",  # Another worker of this user may use the default folder.
        value_format="text",
        json_pointer="",
        windows=_WINDOWS,
        grace=(),
        retention=(),
        timestamp="record",
        http_host=_HOST,
        http_port=port,
        ingest=True,
        shutdown_timeout_s=3,
    )


def _free_port() -> int:
    """Return the port of the settings if it is free, else any free port."""
    from app.config.loading import load_settings
    from app.machine.sockets import bound_to

    wanted = load_settings(bootstrap_servers=f"{_HOST}:9092").http_port
    for port in (wanted, 0):
        with contextlib.suppress(OSError), bound_to(_HOST, port) as bound:
            return int(bound.getsockname()[1])
    return wanted


def _variables(settings: Settings) -> dict[str, str]:
    """Return the variables that the worker must be given; the worker reads all other settings where this process has read them."""
    names = "bootstrap_servers security_protocol topic group state_dir value_format timestamp http_host http_port ingest "
    names += "shutdown_timeout_s"
    # The worker is this command's own, on an address of this machine: what restricts access to other workers is left out.
    without = (
        "json_pointer grace retention tokens_file rate_limit_per_s ingest_bytes_per_s http_tls_cert_file "
    )
    without += "http_tls_key_file"
    return {
        **{variable(name): str(getattr(settings, name)) for name in names.split()},
        **{variable(name): "" for name in without.split()},
        variable("windows"): ",".join(settings.windows),
    }


async def _forget_earlier_runs(settings: Settings) -> None:
    """Delete the topics of earlier runs, so that a run counts its own text only, and the disk holds the data of one run."""
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        earlier = [name for name in await admin.list_topics() if name.startswith(_TOPIC_PREFIX)]
        if earlier:
            await admin.delete_topics(earlier)
    finally:
        await admin.close()


def _produce(settings: Settings, blocks: Iterator[LineBlock], console: Console) -> int:
    """Send the text, and return its number of lines when all are acknowledged."""
    from app.produce.line_producer import produce_blocks

    with console.status("sending …") as status:

        def show(report: Any) -> None:
            status.update(f"sending: {report.lines:,} lines, {report.acknowledged:,} acknowledged")

        report = asyncio.run(produce_blocks(settings, blocks, on_progress=show))
    console.print(f"sent {report.lines:,} lines ({report.byte_count:,} bytes) in {report.seconds:.1f} s")
    return report.acknowledged


def _wait_counted(worker: LocalWorker, lines: int, console: Console) -> None:
    with console.status("counting …") as status:
        while (stats := worker.ask("/v1/stats"))["records"] < lines:
            status.update(f"counting: {stats['records']:,} of {lines:,} lines, {stats['words']:,} words")
            time.sleep(REFRESH_S / 10)


def _table(worker: LocalWorker) -> Any:
    import msgspec

    from app.bodies import CountedWord
    from app.operate.answer_text import word_table

    stats, top = worker.ask("/v1/stats"), worker.ask("/v1/top", k=TOP_WORDS)
    caption = f"{stats['words']:,} words in {stats['records']:,} lines"
    return word_table(msgspec.convert(top["words"], list[CountedWord]), caption)


def _verify(settings: Settings, worker: LocalWorker, console: Console) -> None:
    from app.operate.recount import recount
    from tables.errors import WordcountError

    truth, counted = asyncio.run(recount(settings)), worker.counts()
    differing = [word for word in truth.keys() | counted.keys() if truth[word] != counted.get(word, 0)]
    if differing:
        raise WordcountError(
            f"{len(differing):,} of {len(truth):,} counts differ from an independent recount, for example {differing[0]!r}",
            f"please report the difference with {worker.log_path}",
        )
    console.print(
        f"verified: all {len(truth):,} counts equal an independent recount of {truth.total():,} words"
    )


def _show(worker: LocalWorker, console: Console, check: Callable[[], None] = lambda: None) -> None:
    """Show the live table until Ctrl-C; if the output is no terminal, show the table once and wait for Ctrl-C.

    `check` is called again and again, and may raise an error, which ends the command.
    """
    from rich.live import Live

    footer = f"live page: {worker.url}/   API: {worker.url}/openapi.json   Ctrl-C ends"
    with contextlib.suppress(KeyboardInterrupt):
        if console.is_terminal:
            console.print(footer)
            with Live(_table(worker), console=console, auto_refresh=False) as live:
                while True:
                    time.sleep(REFRESH_S)
                    check()
                    live.update(_table(worker), refresh=True)
        console.print(_table(worker))
        console.print(footer)
        while True:
            time.sleep(REFRESH_S)
            check()
            worker.check_alive()
    console.print("stopping …")
