"""`wordcount topics`: creates and checks the topics that a worker needs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from app.cli_options import BootstrapServers, Group, Topic

topics = typer.Typer(help="Manage the topics that a worker needs.", no_args_is_help=True)


@topics.callback()
def _topics() -> None:
    """Manage the topics that a worker needs."""


@topics.command()
def create(
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    group: Group = None,
    partitions: Annotated[int | None, typer.Option("--partitions", help="WORDCOUNT_PARTITIONS")] = None,
    replication_factor: Annotated[
        int | None, typer.Option("--replication-factor", help="WORDCOUNT_REPLICATION_FACTOR")
    ] = None,
) -> None:
    """Create the missing ones of the topics for input, changelog, dead letters and watches, and check the existing ones.

    WORDCOUNT_CREATE_TOPICS applies to workers, not to this command.
    """
    from app.config.loading import load_settings
    from app.kafka.topics import ensure_topics
    from app.output import say

    settings = load_settings(
        bootstrap_servers=bootstrap_servers,
        topic=topic,
        group=group,
        partitions=partitions,
        replication_factor=replication_factor,
        create_topics=True,
    )
    report = asyncio.run(ensure_topics(settings))
    for role, state in (
        ("input", report.input),
        ("changelog", report.changelog),
        ("dead letters", report.dead_letters),
        *([("watches", report.watches)] if report.watches is not None else []),
    ):
        say(f"{state.came:8} {role:12} {state.name} ({state.partitions} partitions)")
