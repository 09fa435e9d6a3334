"""`wordcount top`: asks a worker for the most frequent words, once or again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli_options import AllowPartial, AsJson, WorkerUrl

if TYPE_CHECKING:
    from app.operate.watch import Look
    from app.operate.worker_client import WorkerAddress

_INTERVAL_S = 1.0


def top(
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many words.")] = 10,
    watch: Annotated[
        bool, typer.Option("--watch", help="Ask again and again, until Ctrl-C; `--interval` says how often.")
    ] = False,
    interval_s: Annotated[
        float | None,
        typer.Option(
            "--interval", metavar="SECONDS", min=0.1, max=3600, help="Pause of --watch, 1 s by default."
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Let the worker read all words if nothing less proves the answer.")
    ] = False,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", metavar="SIZE", help="Only of one window of this size, such as 1m or 1h/5m."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="A time in the window, such as 2026-01-01T00:05:00Z; by default the newest final one.",
        ),
    ] = None,
    allow_partial: AllowPartial = False,
    url: WorkerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the most frequent words, asking a worker."""
    from rich.console import Console
    from rich.text import Text

    from app.config.loading import load_settings
    from app.operate.answer_text import freshness_lines, proof_lines, window_line, word_table
    from app.operate.asked_workers import AskedWorkers
    from app.operate.watch import JsonView, LineView, Look, TerminalView
    from app.operate.watch import watch as watch_on
    from app.operate.worker_client import ask_lag, ask_top, ask_window
    from app.output import say_json
    from app.printable import printable

    if interval_s is not None and not watch:
        raise typer.BadParameter("it is the pause of --watch", param_hint="--interval")
    if at is not None and window is None:
        raise typer.BadParameter("it is a time in the window that --window names", param_hint="--at")
    if window is not None and watch:
        raise typer.BadParameter(
            "--watch shows the most frequent words of all records", param_hint="--window"
        )
    workers, console = AskedWorkers(load_settings(), url), Console()
    if window is not None:
        told = workers.ask(
            lambda worker: ask_window(worker, window, k, at=at, exact=exact, allow_partial=allow_partial)
        )
        if as_json:
            say_json(told)
            return
        console.print(word_table(told.words))
        for line in (window_line(told), *proof_lines(told), *freshness_lines(told)):
            console.print(Text(printable(line)))
        return
    if not watch:
        answer = workers.ask(lambda worker: ask_top(worker, k, exact=exact, allow_partial=allow_partial))
        if as_json:
            say_json(answer)
            return
        console.print(word_table(answer.words))
        for line in (*proof_lines(answer), *freshness_lines(answer)):
            console.print(Text(printable(line)))
        return

    def look() -> Look:
        return workers.ask(look_at)

    def look_at(worker: WorkerAddress) -> Look:
        answer = ask_top(worker, k, exact=exact, allow_partial=allow_partial)
        return Look(answer, None if as_json else ask_lag(worker), worker.url)

    pause_s = interval_s or _INTERVAL_S
    if as_json:
        watch_on(look, JsonView(), pause_s)
    if not console.is_terminal:
        watch_on(look, LineView(), pause_s)
    with TerminalView.on(console) as live:
        watch_on(look, TerminalView(live), pause_s)
