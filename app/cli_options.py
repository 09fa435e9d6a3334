"""Flags that several commands share; a flag has precedence over its environment variable."""

from __future__ import annotations

from typing import Annotated

import typer

BootstrapServers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT,…", help="WORDCOUNT_BOOTSTRAP_SERVERS"),
]
Topic = Annotated[str | None, typer.Option("--topic", metavar="NAME", help="WORDCOUNT_TOPIC")]
Group = Annotated[str | None, typer.Option("--group", metavar="NAME", help="WORDCOUNT_GROUP")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text for people.")]
WorkerUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Address of a worker; by default those of the group, found through Kafka, else from the HTTP settings.",
    ),
]
AllowPartial = Annotated[
    bool,
    typer.Option("--allow-partial", help="Take an answer without the partitions that do not answer."),
]
Profile = Annotated[str | None, typer.Option("--profile", help="WORDCOUNT_PROFILE")]
StateDir = Annotated[str | None, typer.Option("--state-dir", metavar="FOLDER", help="WORDCOUNT_STATE_DIR")]
