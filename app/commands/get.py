"""`wordcount get`: the count of one word."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli_options import AsJson, WorkerUrl


def get(
    word: Annotated[str, typer.Argument(metavar="WORD")],
    url: WorkerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show how often a word was counted, asking a worker; exit code 1 if it does not occur."""
    import msgspec
    from rich.console import Console
    from rich.text import Text

    from app.printable import printable
    from app.settings import load_settings
    from app.worker_client import ask, freshness, word_path, worker_url

    status, body = ask(url or worker_url(load_settings()), word_path(word))
    if as_json:
        typer.echo(msgspec.json.encode(body))
    else:
        console = Console()
        count = "does not occur" if status == 404 else f"{body['count']:,}"
        for line in (f"{printable(body.get('word', word))}: {count}", *freshness(body)):
            console.print(Text(line), soft_wrap=True)
    if status == 404:
        raise typer.Exit(1)
