"""`wordcount config`: shows the settings in force."""

from __future__ import annotations

from typing import Any

import typer

from app.cli_options import AsJson

config = typer.Typer(help="Show the settings.", no_args_is_help=True)

MASK = "***"


@config.callback()
def _config() -> None:
    """Show the settings."""


@config.command()
def show(as_json: AsJson = False) -> None:
    """Show every setting in force, secrets masked."""
    from app.config.loading import load_settings
    from app.config.settings import Settings
    from app.config.types import is_secret, variable
    from app.output import say, say_json

    settings = load_settings()
    values: dict[str, Any] = settings.model_dump(mode="json")
    for name, field in Settings.model_fields.items():
        if is_secret(field) and values[name] is not None:
            values[name] = MASK
    if as_json:
        say_json({variable(name): value for name, value in values.items()})
        return
    for name, value in values.items():
        say(f"{variable(name)}={_shown(value)}")


def _shown(value: object) -> str:
    """Return `value` as an environment variable would hold it; "" for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)
