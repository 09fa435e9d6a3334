"""The envelope: the value of a record that the value format of the settings finds a given text in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from agents.text.choices import RECORD_TIME
from agents.text.json_pointer import parsed
from tables.errors import ConfigurationError

if TYPE_CHECKING:
    from app.config.settings import Settings


class Envelope:
    """Makes values of texts: the text itself, or a JSON document with the text, and the time if the settings look for it there.

    Every token of a pointer becomes the name of a member, also a number, because an object may have such a name.

    Args:
        settings: say where text and time stand in a value.

    Raises:
        ConfigurationError: no document can have both the text and the time at their places.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_json = settings.value_format == "json"
        self._text = parsed(settings.json_pointer)
        self._time = () if settings.timestamp == RECORD_TIME else parsed(settings.timestamp)
        shorter = min(len(self._text), len(self._time))
        if self._time and self._text[:shorter] == self._time[:shorter]:
            raise ConfigurationError(
                f'WORDCOUNT_INGEST is true, but no document has a text at WORDCOUNT_JSON_POINTER "{settings.json_pointer}" and a time '
                f'at WORDCOUNT_TIMESTAMP "{settings.timestamp}"',
                "set pointers to two places neither of which is inside of the other, or WORDCOUNT_TIMESTAMP=record",
            )

    def value(self, text: str, time_ms: int) -> bytes:
        """Return the value of a record with this text; `time_ms` = time of the record in ms since 1970."""
        if not self._is_json:
            return text.encode()
        root: dict[str, object] = {}
        if self._time:
            _put(root, self._time, time_ms)
        if self._text:
            _put(root, self._text, text)
        return msgspec.json.encode(root if self._text else text)


def _put(root: dict[str, object], tokens: Sequence[str], value: object) -> None:
    """Put `value` at the place to which unescaped reference tokens lead, of which there is at least one."""
    *folders, name = tokens
    at = root
    for folder in folders:
        inner = at.setdefault(folder, {})
        assert isinstance(inner, dict), "neither place is inside of the other"
        at = inner
    at[name] = value
