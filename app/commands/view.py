"""`wordcount view`: answers for all partitions like a worker, by following the changelog, without counting."""

from __future__ import annotations

import logging.config
from typing import Annotated

import typer

from app.cli_options import BootstrapServers, Group, Profile, StateDir, Topic


def view(
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    group: Group = None,
    state_dir: StateDir = None,
    profile: Profile = None,
    http_host: Annotated[str | None, typer.Option("--http-host", help="WORDCOUNT_HTTP_HOST")] = None,
    http_port: Annotated[int | None, typer.Option("--http-port", help="WORDCOUNT_HTTP_PORT")] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help="WORDCOUNT_LOG_LEVEL")] = None,
) -> int:
    """Answer for all partitions without counting, until SIGTERM or Ctrl-C. Give each view a state folder of its own."""
    from app.config.loading import load_settings

    settings = load_settings(
        with_peers=False,
        topic=topic,
        group=group,
        profile=profile,
        state_dir=state_dir,
        http_host=http_host,
        http_port=http_port,
        bootstrap_servers=bootstrap_servers,
        log_level=log_level,
    )
    from app.exit_codes import exit_code
    from app.view.process import run_view
    from app.worker import logs
    from app.worker.tuning import tune_process

    tune_process()
    logs.install()
    logging.config.dictConfig(logs.logging_config(settings.log_level, settings.log_format))
    error = run_view(settings)
    return 0 if error is None else exit_code(error)
