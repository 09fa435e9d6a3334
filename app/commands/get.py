"""`wordcount get`: asks a worker for the count of one word."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli_options import AllowPartial, AsJson, WorkerUrl
from app.exit_codes import EXIT_FAILED


def get(
    word: Annotated[str, typer.Argument(metavar="WORD")],
    windows: Annotated[
        str | None,
        typer.Option(
            "--windows", metavar="SIZE", help="How often in each of the newest windows, such as 1m or 1h/5m."
        ),
    ] = None,
    allow_partial: AllowPartial = False,
    url: WorkerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show how often a word was counted, asking a worker; exit code 1 if it does not occur."""
    from rich.console import Console
    from rich.text import Text

    from app.config.loading import load_settings
    from app.operate.answer_text import freshness_lines, window_lines
    from app.operate.asked_workers import AskedWorkers
    from app.operate.worker_client import ask_word, ask_word_windows
    from app.output import say_json
    from app.printable import printable
    from app.problem_bodies import UnknownWord

    workers = AskedWorkers(load_settings(), url)
    if windows is not None:
        told = workers.ask(
            lambda worker: ask_word_windows(worker, word, windows, allow_partial=allow_partial)
        )
        if as_json:
            say_json(told)
            return
        for line in (told.word, *window_lines(told), *freshness_lines(told)):
            Console().print(Text(printable(line)), soft_wrap=True)
        return
    answer = workers.ask(lambda worker: ask_word(worker, word, allow_partial=allow_partial))
    unknown = isinstance(answer, UnknownWord)
    if as_json:
        say_json(answer)
    else:
        console = Console()
        count = "does not occur" if isinstance(answer, UnknownWord) else f"{answer.count:,}"
        for line in (f"{answer.word}: {count}", *freshness_lines(answer)):
            console.print(Text(printable(line)), soft_wrap=True)
    if unknown:
        raise typer.Exit(EXIT_FAILED)
