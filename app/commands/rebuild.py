"""`wordcount rebuild`: deletes stores of this machine, so that a worker rebuilds them from the changelog."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from app.cli_options import BootstrapServers, Group, StateDir, Topic


def rebuild(
    partition: Annotated[
        int | None, typer.Option("--partition", min=0, metavar="N", help="Only this partition's store.")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    group: Group = None,
    state_dir: StateDir = None,
) -> None:
    """Delete the stores of this machine; the worker rebuilds the stores from the changelog when it starts.

    The worker of this state folder must be stopped. If a changelog partition lost records, nothing is deleted and the command fails,
    because the store may hold the only copy of the counts.
    """
    from app.config.loading import load_settings
    from app.operate.remedies import rebuild_stores
    from app.output import say

    settings = load_settings(
        bootstrap_servers=bootstrap_servers, topic=topic, group=group, state_dir=state_dir
    )
    thrown = asyncio.run(rebuild_stores(settings, partition))
    for number in thrown:
        say(f"store of partition {number} thrown away; the worker rebuilds it when it starts")
    if not thrown:
        which = "no store" if partition is None else f"no store of partition {partition}"
        say(f"{which} in {settings.state_dir}: nothing to do")
