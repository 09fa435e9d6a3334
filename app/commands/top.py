"""`wordcount top`: asks a worker for the most frequent words, once or every second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli_options import AllowPartial, AsJson, WorkerUrl

if TYPE_CHECKING:
    from rich.console import RenderableType

    from app.bodies import Top

_REFRESH_S = 1.0


def top(
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many words.")] = 10,
    watch: Annotated[bool, typer.Option("--watch", help="Ask again every second, until Ctrl-C.")] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Let the worker read all words if nothing less proves the answer.")
    ] = False,
    allow_partial: AllowPartial = False,
    url: WorkerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the most frequent words, asking a worker."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from app.config.loading import load_settings
    from app.operate.asked_workers import AskedWorkers
    from app.operate.worker_client import ask_top
    from app.output import say_error, say_json
    from app.printable import printable
    from tables.errors import NotReadyError

    workers = AskedWorkers(load_settings(), url)

    def answer() -> Top:
        return workers.ask(lambda worker: ask_top(worker, k, exact=exact, allow_partial=allow_partial))

    def show(say: Callable[[Top], None]) -> None:
        """Show each answer as soon as it arrives; if the worker is not ready, show the error and ask again."""
        say(answer())
        while watch:
            sys.stdout.flush()
            time.sleep(_REFRESH_S)
            try:
                say(answer())
            except NotReadyError as error:
                say_error(error)

    console = Console()
    if as_json:
        show(say_json)
    elif not watch or not console.is_terminal:
        show(lambda found: console.print(_table(found)))
    else:
        # On a terminal each table is drawn over the last one.
        table = _table(answer())
        with Live(table, console=console, auto_refresh=False) as live:
            while True:
                time.sleep(_REFRESH_S)
                try:
                    table = _table(answer())
                    live.update(table, refresh=True)
                except NotReadyError as error:
                    live.update(Group(table, Text(printable(str(error)))), refresh=True)


def _table(answer: Top) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from app.operate.answer_text import freshness_lines, word_table
    from app.printable import printable

    notes = freshness_lines(answer)
    if not answer.exact:
        further = f"{answer.max_error:,} times more often than the last listed word"
        notes.insert(0, f"NOT PROVEN: a word that is not listed may occur {further}")
    return Group(word_table(answer.words), *(Text(printable(line)) for line in notes))
