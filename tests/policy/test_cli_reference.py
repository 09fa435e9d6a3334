"""`docs/reference/cli.md` names every command and flag, and none that does not exist."""

from __future__ import annotations

import re
from typing import Any

from app import exit_codes
from app.cli import command_line
from app.reference import FOLDER

HELP = "--help"


def flags_of(command: Any) -> set[str]:
    found = {
        flag
        for parameter in command.params
        if parameter.param_type_name == "option"
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    return found - {HELP}


def commands() -> dict[str, set[str]]:
    """Flags by the full name of each command."""
    root = command_line()
    found = {}
    for name in root.list_commands(None):
        command = root.get_command(None, name)
        children = getattr(command, "commands", None)
        if children is None:
            found[f"wordcount {name}"] = flags_of(command)
        else:
            found |= {f"wordcount {name} {child}": flags_of(children[child]) for child in children}
    return found


def sections() -> tuple[str, dict[str, str]]:
    """What stands before the first heading, and the text under each."""
    before, *parts = re.split(r"^## (.+)$", (FOLDER / "cli.md").read_text("utf-8"), flags=re.MULTILINE)
    return before, dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_command_has_its_section_and_every_section_its_command():
    assert list(sections()[1]) == sorted(commands())


def test_every_section_names_the_flags_of_its_command_and_no_others():
    _, text = sections()
    for command, flags in commands().items():
        assert set(re.findall(r"`(--?[a-z][a-z-]*)", text[command])) == flags, command


def test_flags_of_all_commands_are_named_at_the_top():
    before, _ = sections()
    for flag in flags_of(command_line()):
        assert f"`wordcount {flag}`" in before


def test_every_exit_code_has_its_row():
    rows = re.findall(r"^\| (\d+) \| .+ \|$", sections()[0], flags=re.MULTILINE)
    codes = [value for name, value in vars(exit_codes).items() if name.startswith("EXIT_")]
    assert [int(row) for row in rows] == [0, *sorted(codes)]
