"""`wordcount reset`: deletes all counts of a group, so that its workers count again what the input still has."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from app.cli_options import BootstrapServers, Group, StateDir, Topic
from app.exit_codes import EXIT_CONFIGURATION


def reset(
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; without this flag, only show what would be deleted.")
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    group: Group = None,
    state_dir: StateDir = None,
) -> None:
    """Delete every count of this group; its workers count again from the first record that the input still has.

    All workers of the group must be stopped. Dead letters are kept, and are sent once more when their records are counted again.
    """
    from app.config.loading import load_settings
    from app.operate.remedies import check_resettable, reset_counts, reset_plan
    from app.output import say

    settings = load_settings(
        bootstrap_servers=bootstrap_servers, topic=topic, group=group, state_dir=state_dir, create_topics=True
    )
    asyncio.run(check_resettable(settings))
    if not yes:
        for line in reset_plan(settings):
            say(f"would delete {line}")
        say("nothing was deleted; add --yes to do it")
        raise typer.Exit(EXIT_CONFIGURATION)
    for line in asyncio.run(reset_counts(settings)):
        say(line)
