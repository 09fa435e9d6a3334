"""The command line. Each module of `app.commands` is a command; it is imported only when it is used.

Exit codes: 0 done, 1 failed, 2 wrong settings, flags or input, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from app import commands
from tables.errors import BadRequestError, ConfigurationError, WordcountError

if TYPE_CHECKING:
    from typer._click import Command, Context


class Commands(TyperGroup):
    """The commands, found by name: module `app.commands.<name>` has a function or `typer.Typer` called `<name>`."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """The command, or None where there is none of this name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        entry = getattr(importlib.import_module(f"{commands.__name__}.{cmd_name}"), cmd_name)
        if isinstance(entry, typer.Typer):
            command: Command = typer.main.get_group(entry)
        else:
            alone = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            alone.command()(entry)
            command = typer.main.get_command(alone)
        command.name = cmd_name
        return command


def command_line() -> Commands:
    """The root of all commands."""
    root = typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True, rich_markup_mode="markdown")
    root.callback()(_wordcount)
    group = typer.main.get_group(root)
    assert isinstance(group, Commands)
    return group


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit; an error that Wordcount raised on purpose is one line on standard error."""
    # Without a handler Python would print what libraries log. `worker` and `run` set up logging of their own.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        command_line().main(arguments, prog_name="wordcount")
    except WordcountError as error:
        sys.stderr.write(f"wordcount: {error}\n")
        sys.exit(exit_code(error))


def exit_code(error: WordcountError) -> int:
    """2 where settings, flags or input are wrong, else 1."""
    return 2 if isinstance(error, ConfigurationError | BadRequestError) else 1


def _show_version(wanted: bool) -> None:
    if wanted:
        from app.web.version import version_info

        typer.echo(f"wordcount {version_info().version}")
        raise typer.Exit


def _wordcount(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Exact streaming word counts from Kafka.

    Settings come from flags, WORDCOUNT_… variables, a file .env and secret files: docs/reference/settings.md.
    """
