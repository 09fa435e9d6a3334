"""Replacements for commands of `faust -A app.faust_entry …` that would do wrong or nothing in a worker of Wordcount.

A class of this module replaces Faust's command of the same name as soon as the class is defined, so only `app.faust_entry` imports
this module.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, ClassVar

from faust.cli import send as faust_send
from faust.cli import worker as faust_worker
from faust.cli.base import AppCommand
from mode.utils.loops import get_event_loop

from app.config.loading import load_settings
from app.exit_codes import EXIT_CONFIGURATION, exit_code
from app.kafka.admin import open_admin
from app.worker.ending import say
from tables.errors import ConfigurationError, WordcountError
from tables.kafka.broker_errors import TOPIC_UNAUTHORIZED, UNKNOWN_TOPIC


def datadir(arguments: Sequence[str]) -> str | None:
    """Return the folder that Faust's flag `-D` names in the arguments of a process; None = the flag is not set.

    Faust itself reads the flag after the settings were read, which is too late.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-D", "--datadir")
    known, _ = parser.parse_known_args(arguments)
    found: str | None = known.datadir
    return found


class _Refused(AppCommand):
    abstract: ClassVar[bool] = True
    instead: ClassVar[str] = ""

    def __init__(self, *_: Any, **__: Any) -> None:
        say(f"faust {type(self).__name__.replace('_', '-')}: {self.instead}")
        raise SystemExit(EXIT_CONFIGURATION)


class reset(_Refused):  # noqa: N801 - the name is that of the command
    """Not for Wordcount: use `wordcount reset`."""

    instead = "counts are not in Faust's tables; use: wordcount reset, or wordcount rebuild for stores of this machine"


class tables(_Refused):  # noqa: N801 - the name is that of the command
    """Not for Wordcount: use `wordcount top` or `wordcount doctor`."""

    instead = "counts are not in Faust's tables; ask a worker: wordcount top, or wordcount doctor for topics and stores"


class clean_versions(_Refused):  # noqa: N801 - the name is that of the command
    """Not for Wordcount: use `wordcount rebuild`."""

    instead = "stores of Wordcount have no versions to clean; to throw stores away use: wordcount rebuild"


class completion(_Refused):  # noqa: N801 - the name is that of the command
    """Not for Wordcount: use `wordcount --help`."""

    instead = "the package that this command needs is not part of Wordcount; see: wordcount --help"


class worker(faust_worker.worker):  # noqa: N801 - the name is that of the command
    """Count the words of a topic until SIGTERM or Ctrl-C."""

    def __call__(self, *arguments: Any, **options: Any) -> None:
        """Run the worker, unless a flag asks for something that a worker does not do; then leave with exit code 2."""
        refused = {
            "--logfile": (self.logfile, "redirect standard error, to which the log is written"),
            "--web-transport": (
                self.kwargs["web_transport"],
                "leave the flag out: HTTP is served over TCP only",
            ),
            "--web-host": (self.kwargs["web_host"], "use --web-bind for the address that HTTP listens on"),
        }
        for flag, (value, instead) in refused.items():
            if value is not None:
                say(f"{flag} {value} is not obeyed by a worker of Wordcount; {instead}")
                raise SystemExit(EXIT_CONFIGURATION)
        super().__call__(*arguments, **options)


class send(faust_send.send):  # noqa: N801 - the name is that of the command
    """Send a message to a topic, or to the agent @count_words, which means the input topic."""

    def __call__(self, *arguments: Any, **options: Any) -> None:
        """Send if the topic exists; otherwise leave with the error's exit code, because Faust would wait for the topic for ever."""
        try:
            get_event_loop().run_until_complete(self._check_topic(str(self.kwargs["entity"])))
        except WordcountError as error:
            say(str(error))
            raise SystemExit(exit_code(error)) from None
        super().__call__(*arguments, **options)

    def to_topic(self, entity: str) -> Any:
        """Return the agent or topic that `entity` names: `@` and the name of an agent, or the name of a topic."""
        return self.app.agents[entity[1:]] if entity.startswith("@") else super().to_topic(entity)

    async def _check_topic(self, entity: str) -> None:
        settings = load_settings()
        if entity.startswith("@") and entity[1:] not in self.app.agents:
            raise ConfigurationError(f'there is no agent "{entity}"', "use @count_words, or name a topic")
        name = settings.topic if entity.startswith("@") else entity
        async with open_admin(settings) as admin:
            topic = (await admin.describe(name))[name]
        if topic.error_code == UNKNOWN_TOPIC:
            raise ConfigurationError(f'there is no topic "{name}"', "create it: wordcount topics create")
        if topic.error_code == TOPIC_UNAUTHORIZED:
            raise ConfigurationError(
                f'this user may not see topic "{name}"', "grant this user Describe and Write on the topic"
            )
