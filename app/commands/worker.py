"""`wordcount worker`: runs a worker, as `faust -A app.faust_entry worker` does, with flags instead of environment variables."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from app.cli_options import BootstrapServers, Group, Profile, StateDir, Topic


def worker(
    without_web: Annotated[bool, typer.Option("--without-web", help="Serve no HTTP.")] = False,
    print_counts: Annotated[
        bool,
        typer.Option("--print-counts", help="Print each counted word as (word,total), once it is durable."),
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    group: Group = None,
    state_dir: StateDir = None,
    profile: Profile = None,
    http_host: Annotated[str | None, typer.Option("--http-host", help="WORDCOUNT_HTTP_HOST")] = None,
    http_port: Annotated[int | None, typer.Option("--http-port", help="WORDCOUNT_HTTP_PORT")] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help="WORDCOUNT_LOG_LEVEL")] = None,
) -> None:
    """Count the words of a topic until SIGTERM or Ctrl-C."""
    # Faust chooses its event loop at import; so the variable must be set before.
    os.environ.setdefault("FAUST_LOOP", "uvloop")
    from app.config.loading import load_settings

    settings = load_settings(
        topic=topic,
        group=group,
        profile=profile,
        state_dir=state_dir,
        http_host=http_host,
        http_port=http_port,
        bootstrap_servers=bootstrap_servers,
        log_level=log_level,
    )
    from app.worker.bootstrap import build_worker

    _count_until_stopped(build_worker(settings, print_counts=print_counts), web=not without_web)


def _count_until_stopped(faust_app: Any, *, web: bool) -> None:
    """Run a worker in this process until a signal stops it; raise SystemExit with the worker's exit code."""
    conf = faust_app.conf
    conf.web_enabled = web
    level = conf.logging_config["root"]["level"]
    faust_worker = conf.Worker(
        faust_app,
        loglevel=level,
        logging_config=conf.logging_config,
        quiet=True,
        redirect_stdouts=conf.worker_redirect_stdouts,
        redirect_stdouts_level="WARNING",
    )
    faust_worker.spinner = None  # Faust's spinner would write to standard output, which is for counts.
    faust_worker.execute_from_commandline()
