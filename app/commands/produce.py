"""`wordcount produce`: sends lines of files to the input topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli_options import BootstrapServers, Topic

if TYPE_CHECKING:
    from app.config.settings import Settings
    from app.produce.event_times import TimePlace
    from app.produce.line_producer import Report
    from app.produce.text_files import TextFiles

_SLOWEST, _FASTEST = 0.000_001, 1_000_000_000


def produce(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE…|-]", help="Text, also .gz or .zst; - = standard input."),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, metavar="LINES_PER_S", help="Highest rate.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="TEXT", help="Key of every message; without a key, batches go to all partitions."
        ),
    ] = None,
    loop: Annotated[int, typer.Option("--loop", min=1, metavar="N", help="Send everything N times.")] = 1,
    timestamps: Annotated[
        str,
        typer.Option(
            "--timestamps",
            metavar="POINTER|now|COLUMN",
            help="Times of messages: of sending, at a JSON Pointer, or in a column.",
        ),
    ] = "now",
    speed: Annotated[
        float,
        typer.Option(
            "--speed", min=0, metavar="N", help="Send lines N times as fast as their times say; 0 = at once."
        ),
    ] = 0,
) -> None:
    """Send each line as a message, and wait until all are acknowledged.

    A line ends with LF or CRLF, which are not sent; empty lines are messages too.
    """
    from app.config.loading import load_settings
    from app.output import say
    from app.produce.delivery import MAX_VALUE_BYTES
    from app.produce.line_producer import Report
    from app.produce.text_files import STDIN, TextFiles

    place = None if timestamps == "now" else _time_place(timestamps)
    _check_speed(speed, timed=place is not None, rate=rate)
    settings = load_settings(bootstrap_servers=bootstrap_servers, topic=topic)
    texts = TextFiles(files or [STDIN], times=loop, longest_bytes=MAX_VALUE_BYTES)
    latest = Report()

    def keep(report: Report) -> None:
        nonlocal latest
        latest = report

    try:
        with _progress(texts) as show:

            def on_progress(report: Report) -> None:
                keep(report)
                show(report)

            asyncio.run(_produce(settings, texts, place, key, rate, speed or None, on_progress))
    finally:
        say(
            f"sent {latest.lines:,} lines ({latest.byte_count:,} bytes) to {settings.topic}, "
            f"{latest.acknowledged:,} acknowledged, in {latest.seconds:.1f} s: {latest.lines_per_s:,.0f} lines/s"
        )


def _time_place(timestamps: str) -> TimePlace:
    from app.produce.event_times import time_place  # loads Arrow, which nothing else in this command needs

    return time_place(timestamps)


def _check_speed(speed: float, *, timed: bool, rate: float | None) -> None:
    from tables.errors import ConfigurationError

    if not speed:
        return
    if not _SLOWEST <= speed <= _FASTEST:
        raise ConfigurationError(
            f"--speed {speed} is not between {_SLOWEST} and {_FASTEST:,}", "give 0 to send without pauses"
        )
    if not timed:
        raise ConfigurationError(
            "--speed needs times in the lines", "say with --timestamps where they are, or leave --speed out"
        )
    if rate is not None:
        raise ConfigurationError(
            "--speed and --rate cannot be used together", "give one of them: both say when a line is sent"
        )


async def _produce(
    settings: Settings,
    texts: TextFiles,
    place: TimePlace | None,
    key: str | None,
    rate: float | None,
    speed: float | None,
    on_progress: Callable[[Report], None],
) -> None:
    from app.kafka.topics import ensure_input_topic
    from app.produce.delivery import MAX_VALUE_BYTES
    from app.produce.line_producer import produce_blocks
    from app.produce.retention import oldest_kept_ms

    await ensure_input_topic(settings)
    blocks = texts.blocks()
    if place is not None:
        from app.produce.event_times import timed

        blocks = timed(blocks, place, longest_bytes=MAX_VALUE_BYTES, oldest_ms=await oldest_kept_ms(settings))
    encoded_key = None if key is None else key.encode("utf-8", "surrogateescape")
    await produce_blocks(
        settings, blocks, on_progress=on_progress, key=encoded_key, lines_per_s=rate, speed=speed
    )


@contextlib.contextmanager
def _progress(texts: TextFiles) -> Iterator[Callable[[Report], None]]:
    """Show progress on standard error if standard error is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    size_bytes = texts.size_bytes
    estimate = () if size_bytes is None else (BarColumn(), TimeRemainingColumn())
    counts = TextColumn("{task.fields[lines]:,} lines, {task.fields[acknowledged]:,} acknowledged")
    with Progress(
        DownloadColumn(), counts, *estimate, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=size_bytes, lines=0, acknowledged=0)

        def show(report: Report) -> None:
            progress.update(
                task, completed=texts.bytes_read, lines=report.lines, acknowledged=report.acknowledged
            )

        yield show
