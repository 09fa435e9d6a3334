"""The command line `wordcount`: finds a command in `app.commands`, runs it, and turns errors into one line and an exit code.

The module of a command is imported only when the command is used. Exit codes are those of `app.exit_codes`, and 0 on success.
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
from app.exit_codes import EXIT_CONFIGURATION, exit_code
from app.output import OutputError, guarded_output, say, say_error
from tables.errors import WordcountError

if TYPE_CHECKING:
    from typer._click import Command, Context


class Commands(TyperGroup):
    """The commands, found by name: module `app.commands.<name>` has a function or `typer.Typer` called `<name>`."""

    def list_commands(self, ctx: Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Return the command of this name, or None if there is no such command."""
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
    """Return the root of all commands."""
    root = typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True, rich_markup_mode="markdown")
    root.callback()(_wordcount)
    group = typer.main.get_group(root)
    assert isinstance(group, Commands)
    return group


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit. A `WordcountError`, or wrong usage, becomes one line on standard error."""
    # Without a handler Python would print the log lines of libraries. `worker` and `run` set up logging of their own.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        with guarded_output():
            code = _run(arguments)
    except OutputError as error:
        if not error.reader_is_gone:
            say_error(
                f"standard output cannot be written ({error.error.strerror}); free some space, or write elsewhere"
            )
        sys.exit(exit_code(error))
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """Run a command; return its exit code."""
    try:
        ended: object = command_line().main(arguments, prog_name="wordcount", standalone_mode=False)
    except WordcountError as error:
        say_error(error)
        return exit_code(error)
    except typer.TyperException as error:
        return _refuse(error)
    except typer.Abort as error:
        return exit_code(error)
    except OSError as error:
        # The system can refuse files and connections in more ways than each command can handle.
        where = f"{error.filename}: " if error.filename is not None else ""
        say_error(f"{where}{error.strerror or repr(error)}; check disk, rights and network")
        return exit_code(error)
    return ended if isinstance(ended, int) else 0


def _refuse(error: typer.TyperException) -> int:
    """Write what is wrong with the arguments, and which `--help` explains them. Typer's own message would show arguments unescaped."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # Typer has shown the help already.
        return EXIT_CONFIGURATION
    where = context.command_path if context is not None else "wordcount"
    message = getattr(error, "format_message", error.__str__)()
    say_error(f"{message.rstrip('.')}; see: {where} --help")
    return EXIT_CONFIGURATION


def _show_version(wanted: bool) -> None:
    if wanted:
        from app.web.resources.version import version_info

        say(f"wordcount {version_info().version}")
        raise typer.Exit


def _wordcount(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Exact streaming word counts from Kafka.

    Settings come from flags, WORDCOUNT_… variables, a file .env and secret files: docs/reference/settings.md.
    """
