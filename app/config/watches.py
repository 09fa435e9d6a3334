"""The file of watches: reads it, checks it, and names the place of a mistake.

A watch waits for words: one word, the words with a prefix, or words that trend. The file is TOML, a table `[[watch]]` for each.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from app.config.small_file import small_content
from app.config.windows import Window, window_of, windows_of
from app.printable import printable
from tables.errors import ConfigurationError

if TYPE_CHECKING:
    from agents.text.tokenizer import Tokenizer
    from app.config.settings import Settings

Kind = Literal["word", "prefix", "trending"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MOST_WATCHES: Final = 50
"""Most watches: each is looked at in every round, by one worker."""

MOST_BYTES: Final = 131_072
MOST_ABOVE: Final = 10**15
MOST_URL_CHARACTERS: Final = 2_048
_MOST_TEXT_BYTES: Final = 1_024

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_URL: Final = re.compile(r"[!-~]+")
_FIELDS: Final = (*KINDS, "name", "above", "window", "url", "secret_file")


@dataclass(frozen=True, slots=True)
class Watch:
    """What is waited for, and who is told.

    Attributes:
        name: unique in the file.
        kind: what is waited for.
        text: the word, as the tokeniser has it, or the prefix; "" for words that trend.
        window: windows in which words are counted; None = the total of a word.
        above: a word crosses when it occurs more often than this.
        url: receiver of the webhook.
        secret_file: file of the secret that signs what is sent.
    """

    name: str
    kind: Kind
    text: str
    window: Window | None
    above: int
    url: str
    secret_file: Path

    @property
    def receiver(self) -> str:
        """Scheme, host and port of the receiver; the rest of a URL may be a secret, and is never shown."""
        scheme, place, *_ = urlsplit(self.url)
        return f"{scheme}://{place}"


def read_watches(settings: Settings) -> Sequence[Watch]:
    """Return the watches of the file that the settings name; () = they name none.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or has a watch that cannot be used. The message names file, watch and
            field, or the line.
    """
    file = settings.watches
    if file is None:
        return ()
    named = f'WORDCOUNT_WATCHES "{file}"'
    tables = _tables(_content(file, named), named)
    windows = {(one.size_s, one.advance_s): one for one in windows_of(settings).listed}
    # Who has no watches, such as most commands, need not load what makes words.
    from app.config.text import tokenizer_of

    words = tokenizer_of(settings)
    found: dict[str, Watch] = {}
    for number, table in enumerate(tables, 1):
        watch = _Entry(table, number, named).watch(windows, words, file.parent)
        if watch.name in found:
            raise ConfigurationError(
                f'{named}: watch {number} has the name "{watch.name}" of a former watch',
                "give each its own name",
            )
        found[watch.name] = watch
    return tuple(found.values())


def _content(file: Path, named: str) -> dict[str, Any]:
    content = small_content(file, named, MOST_BYTES, "watches")
    try:
        return tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        # The text of the error names line and column, and shows at most one character.
        raise ConfigurationError(
            f"{named} is no TOML in UTF-8: {printable(str(error))}",
            "mend that place; docs/watches.md has an example",
        ) from None


def _tables(content: Mapping[str, Any], named: str) -> Sequence[Mapping[str, Any]]:
    if others := sorted(content.keys() - {"watch"}):
        raise ConfigurationError(
            f'{named} has "{printable(others[0][:100])}" outside of a watch',
            "write a table [[watch]] for each watch, and nothing else",
        )
    tables = content.get("watch", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables) or not tables:
        raise ConfigurationError(f"{named} has no watch", "write a table [[watch]] for each")
    if len(tables) > MOST_WATCHES:
        raise ConfigurationError(
            f"{named} has {len(tables)} watches, more than {MOST_WATCHES}", "remove some"
        )
    return tables


class _Entry:
    """One table of the file.

    Args:
        table: the table.
        number: its place in the file, from 1 on.
        named: the file, for messages.
    """

    def __init__(self, table: Mapping[str, Any], number: int, named: str) -> None:
        self._table = table
        self._where = f"{named}: watch {number}"

    def watch(self, windows: Mapping[tuple[int, int], Window], words: Tokenizer, folder: Path) -> Watch:
        """Return the watch.

        Args:
            windows: (size, advance) in seconds -> a window that may be named.
            words: makes words of texts.
            folder: where relative paths begin.
        """
        name = self._text("name")
        if not _NAME.fullmatch(name):
            raise self._wrong("name", 'a name has 1 to 64 letters, digits, ".", "_" or "-"')
        self._where += f' ("{name}")'
        if unknown := sorted(self._table.keys() - set(_FIELDS)):
            raise self._error(
                f'has the unknown field "{printable(unknown[0][:100])}"',
                f"the fields are {', '.join(_FIELDS)}",
            )
        kinds = [kind for kind in KINDS if kind in self._table]
        if len(kinds) != 1:
            raise self._error(
                f"has {len(kinds)} of the fields {', '.join(KINDS)}", "give one: what the watch waits for"
            )
        kind = kinds[0]
        window = self._window(windows)
        if window is None and kind != "word":
            raise self._error(
                f'has "{kind}" without "window"',
                "name a window: without one, a single word's total can be watched",
            )
        return Watch(
            name,
            kind,
            self._waited_for(kind, words),
            window,
            self._above(),
            self._url(),
            folder / self._text("secret_file"),
        )

    def _window(self, windows: Mapping[tuple[int, int], Window]) -> Window | None:
        if "window" not in self._table:
            return None
        try:
            named = window_of(self._text("window"))
            return windows[named.size_s, named.advance_s]
        except (ValueError, KeyError):
            configured = ", ".join(one.name for one in windows.values()) or "none"
            raise self._wrong(
                "window", f"name one of WORDCOUNT_WINDOWS ({configured}), or add this one there"
            ) from None

    def _waited_for(self, kind: Kind, words: Tokenizer) -> str:
        if kind == "trending":
            if self._table[kind] is not True:
                raise self._wrong(kind, "write trending = true")
            return ""
        text = self._text(kind)
        if not text or len(text.encode()) > _MOST_TEXT_BYTES:
            raise self._wrong(kind, f"give a text of 1 to {_MOST_TEXT_BYTES:,} bytes")
        if kind == "prefix":
            return text
        found = words.tokens(text)
        if len(found) != 1:
            shown = ", ".join(printable(repr(word)) for word in found[:5]) or "none"
            raise self._wrong(
                kind,
                f"give one word, as it is counted: of this text the tokeniser makes {len(found)} ({shown})",
            )
        return found[0]

    def _above(self) -> int:
        above = self._table.get("above")
        if type(above) is not int or not 0 <= above <= MOST_ABOVE:
            raise self._wrong("above", f"give a whole number from 0 to {MOST_ABOVE}: a word above it crosses")
        return above

    def _url(self) -> str:
        url = self._text("url")
        remedy = "give a URL of scheme http or https with a host, without user, password and fragment"
        try:
            parts = urlsplit(url)
            is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_good = False
        if (
            not is_good
            or len(url) > MOST_URL_CHARACTERS
            or not _URL.fullmatch(url)
            or "#" in url
            or "@" in parts.netloc
        ):
            # The URL is not shown: it may have a secret.
            raise self._error('has a "url" that cannot be used', remedy)
        return url

    def _text(self, field: str) -> str:
        if field not in self._table:
            raise self._error(f'has no "{field}"', f"the fields are {', '.join(_FIELDS)}")
        value = self._table[field]
        if not isinstance(value, str):
            raise self._wrong(field, "write a text in quotes")
        return value

    def _wrong(self, field: str, remedy: str) -> ConfigurationError:
        return self._error(f'has "{field}" = {printable(repr(self._table.get(field)))[:100]}', remedy)

    def _error(self, problem: str, remedy: str) -> ConfigurationError:
        return ConfigurationError(f"{self._where} {problem}", remedy)
