"""A watch over the most frequent words: asks again and again, and shows each answer with who gave it, or why nobody answers now."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from app.operate.answer_text import freshness_lines, proof_lines, word_table
from app.output import say, say_error, say_json
from app.printable import printable
from tables.errors import BadRequestError, NotReadyError, WordcountError

if TYPE_CHECKING:
    from rich.console import Console

    from app.bodies import Top


class Look(NamedTuple):
    """What a watch sees at one time.

    Attributes:
        top: the answer.
        lag_records: records that are not counted yet; None = not known.
        url: URL of the worker that answered.
    """

    top: Top
    lag_records: int | None
    url: str


class View(Protocol):
    """Shows what a watch sees."""

    def show(self, look: Look) -> None:
        """Show an answer."""
        ...

    def show_error(self, error: WordcountError) -> None:
        """Show why there is no answer now."""
        ...


def watch(look: Callable[[], Look], view: View, interval_s: float) -> NoReturn:
    """Ask until Ctrl-C. A worker that is not ready is awaited, and so is any worker after the first answer.

    Args:
        look: asks once.
        view: shows what is seen.
        interval_s: pause between an answer and the next question.

    Raises:
        BadRequestError: a worker refuses the question.
        WordcountError: nobody answers the first question, and not because it is too early.
    """
    answered = False
    while True:
        try:
            seen = look()
        except WordcountError as error:
            if isinstance(error, BadRequestError) or not (answered or isinstance(error, NotReadyError)):
                raise
            view.show_error(error)
        else:
            answered = True
            view.show(seen)
        time.sleep(interval_s)


class JsonView:
    """Writes each answer as a line of JSON, and errors to standard error."""

    def show(self, look: Look) -> None:
        """Write an answer."""
        say_json(look.top)

    def show_error(self, error: WordcountError) -> None:
        """Write why there is no answer now."""
        say_error(error)


class LineView:
    """Writes a line with the time for each answer, and for each question without an answer."""

    def show(self, look: Look) -> None:
        """Write an answer."""
        words = ", ".join(f"{row.word}: {row.count:,}" for row in look.top.words) or "no words"
        self._say("; ".join([words, *_notes(look)]))

    def show_error(self, error: WordcountError) -> None:
        """Write why there is no answer now."""
        self._say(f"no answer: {error}")

    def _say(self, text: str) -> None:
        say(f"{datetime.now().astimezone().isoformat(timespec='seconds')} {text}")
        sys.stdout.flush()


class TerminalView:
    """Draws each answer over the former one. Where there is no answer, the former one stays, with its time and the reason.

    Args:
        live: the part of the terminal that is drawn.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._drawn = Group()

    @staticmethod
    def on(console: Console) -> Live:
        """Return a part of the terminal for a view."""
        return Live(console=console, auto_refresh=False)

    def show(self, look: Look) -> None:
        """Draw an answer."""
        notes = [*_notes(look), f"asked at {datetime.now().astimezone():%H:%M:%S}"]
        self._drawn = Group(word_table(look.top.words), *(Text(printable(note)) for note in notes))
        self._live.update(self._drawn, refresh=True)

    def show_error(self, error: WordcountError) -> None:
        """Draw why there is no answer now."""
        why = Text(printable(f"no answer: {error}"), "yellow")
        self._live.update(Group(self._drawn, why), refresh=True)


def _notes(look: Look) -> list[str]:
    lag = "records not counted yet: " + ("not known" if look.lag_records is None else f"{look.lag_records:,}")
    complete, _, *followers = freshness_lines(look.top)
    return [*proof_lines(look.top), complete, lag, *followers, f"answered by {look.url}"]
