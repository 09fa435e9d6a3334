"""A text that flows: its lines are sent again and again, slowly, while somebody watches the counts of `wordcount run` move."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from app.produce.line_producer import produce_blocks
from app.produce.text_files import LineBlock
from tables.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

    from app.config.settings import Settings

STOP_S = 5.0
"""Longest wait for the end of sending; longer only if the broker is gone. What has not ended by then ends with the process."""

LINES_PER_S = 30.0
"""Lines that are sent per second: enough that every second shows a change, and few enough to leave the machine alone."""


class Flow:
    """Sends the lines of a text from the first to the last, and again, in a thread of its own, while the `with` block runs.

    Args:
        settings: brokers and topic.
        text: returns the blocks of the text; called before each pass.
    """

    def __init__(self, settings: Settings, text: Callable[[], Iterable[LineBlock]]) -> None:
        self._settings = settings
        self._text = text
        self._loop = asyncio.new_event_loop()
        self._sending: asyncio.Task[object] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="flow", daemon=True)

    def __enter__(self) -> Flow:
        self._sending = self._loop.create_task(self._send())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # The loop is closed if sending has failed.
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(STOP_S)

    def check(self) -> None:
        """Raise the error with which sending has ended; sending ends for no other reason."""
        if self._error is not None:
            raise self._error

    def _cancel(self) -> None:
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self) -> None:
        await produce_blocks(
            self._settings, self._blocks(), on_progress=lambda _: None, lines_per_s=LINES_PER_S
        )

    def _blocks(self) -> Iterator[LineBlock]:
        """Yield the text again and again. Raise ConfigurationError if it has no lines: the thread would look for some for ever."""
        while True:
            is_empty = True
            for block in self._text():
                is_empty = False
                yield block
            if is_empty:
                raise ConfigurationError(
                    "the text has no lines that could be sent again",
                    "name a text with lines, or leave --loop out",
                )

    def _run(self) -> None:
        assert self._sending is not None, "it begins with the `with` block"
        try:
            self._loop.run_until_complete(self._sending)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - raised again by `check`
            self._error = error
        finally:
            self._loop.close()
