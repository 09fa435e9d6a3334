"""Loading of the settings: reads all sources and checks the values. No other module reads environment variables of Wordcount.

The first source that has a value wins: (1) arguments of `load_settings` (command line flags), (2) environment variables
`WORDCOUNT_<NAME>`, (3) a file `.env` in the working directory, (4) files in the folder `WORDCOUNT_SECRETS_DIR` with the names of the
variables (a mounted Kubernetes Secret, or Docker's `/run/secrets`), (5) the default. Upper and lower case do not matter in names. If
the default is none, an empty value means that the setting is not given.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from app.config.rules import check_access, check_security, check_values
from app.config.settings import Settings
from app.config.types import PREFIX, expectation, is_secret, variable
from tables.errors import ConfigurationError

FORMER_NAMES = {"WORDCOUNT_WINDOW_BYTES": "WORDCOUNT_FLUSH_BYTES"}
"""New name by former name of each renamed setting; a former name is refused with a message that names the new name."""


def load_settings(*, with_peers: bool = True, **overrides: object) -> Settings:
    """Read all sources, check the values, and return the settings.

    Args:
        with_peers: whether other workers may ask this process; False for a view.
        overrides: values by field name, which win over every source; None = not given.

    Raises:
        ConfigurationError: a value is wrong; the message names every wrong variable with its value and what is expected, on one line.
        TypeError: an override is not a setting.
    """
    if unknown := overrides.keys() - Settings.model_fields.keys():
        raise TypeError(f"not settings: {', '.join(sorted(unknown))}")
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        _refuse_unknown(list(os.environ), "an environment variable")
        _refuse_unknown(list(DotEnvSettingsSource(_Sources).env_vars), "in the file .env")
        settings = Settings.model_construct(**dict(_Sources(**given)))  # The values are validated already.
        check_values(settings)
        check_security(settings)
        check_access(settings, with_peers=with_peers)
    except ValidationError as invalid:
        problems = [_problem(str(error["loc"][0]), error["input"]) for error in invalid.errors()]
        raise ConfigurationError("; ".join(problems)) from None
    except (OSError, UnicodeDecodeError) as unreadable:
        raise ConfigurationError(
            f"settings cannot be read: {unreadable}", "repair or remove that file"
        ) from None
    return settings


class _Sources(Settings, BaseSettings):
    """The settings with the sources that pydantic reads."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read secret files last, because the other sources name their folder."""
        return init_settings, env_settings, dotenv_settings, _SecretFiles(settings_cls)


class _SecretFiles(SecretsSettingsSource):
    """The source that reads secret files, in the folder that the sources before it name."""

    def __call__(self) -> dict[str, Any]:
        folder = self.current_state.get("secrets_dir")
        if not folder:
            return {}
        if not Path(folder).is_dir():
            raise ConfigurationError(
                f'WORDCOUNT_SECRETS_DIR is "{folder}", which is not a folder',
                "name the folder of the secret files",
            )
        _refuse_unknown([path.name for path in Path(folder).iterdir()], "a file in WORDCOUNT_SECRETS_DIR")
        self.secrets_dir = folder
        return super().__call__()


def _problem(name: str, value: object) -> str:
    field = Settings.model_fields[name]
    shown = "***" if is_secret(field) else json.dumps(str(value), ensure_ascii=False)[:120]
    return f"{variable(name)} is {shown}, expected {expectation(field)}"


def _refuse_unknown(names: list[str], where: str) -> None:
    known = list(Settings.model_fields)
    for name in sorted(names):
        if not name.upper().startswith(PREFIX) or name.lower().removeprefix(PREFIX.lower()) in known:
            continue
        if re.match(r"WORDCOUNT_(.*_)?(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)", name):
            remedy = "Kubernetes adds such variables for a Service: set enableServiceLinks: false in the pod"
        elif former := FORMER_NAMES.get(name.upper()):
            remedy = f"its name is {former} now"
        elif close := difflib.get_close_matches(name.lower().removeprefix(PREFIX.lower()), known, n=1):
            remedy = f"did you mean {variable(close[0])}?"
        else:
            remedy = "remove it; docs/reference/settings.md lists all settings"
        raise ConfigurationError(f"{name.upper()} ({where}) is not a setting", remedy)
