"""`wordcount doctor`: checks one by one what a worker needs from this machine and from the brokers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Final

import typer

from app.cli_options import AsJson, BootstrapServers, Group, Topic
from app.exit_codes import EXIT_FAILED

_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    group: Group = None,
    as_json: AsJson = False,
) -> None:
    """Check brokers, topics, rights, state folder, port and versions; exit code 1 if something fails."""
    from rich.console import Console
    from rich.text import Text

    from app.config.loading import load_settings
    from app.operate.diagnosis import broker_checks
    from app.operate.machine_checks import machine_checks
    from app.output import say_json
    from app.printable import printable

    settings = load_settings(bootstrap_servers=bootstrap_servers, topic=topic, group=group)
    checks = [*machine_checks(settings), *asyncio.run(broker_checks(settings))]
    if as_json:
        say_json([asdict(check) for check in checks])
    else:
        console = Console()
        for check in checks:
            remedy = f"; {check.remedy}" if check.remedy else ""
            line = Text(f"{check.status:4} ", _COLOURS[check.status])
            text = printable(f"{check.name}: {check.detail}{remedy}")
            console.print(line.append(text, "default"), soft_wrap=True)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(EXIT_FAILED)
