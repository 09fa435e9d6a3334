"""An open page that is told of hundreds of changes takes no more memory after them, and reads little aloud."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from playwright.async_api import Route, expect

from tests.browser.heap import memory_of
from tests.fakes.events import Events
from tests.integration.worker import DEADLINE_S, wait_for

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVENTS: Final = 5
"""Events of one connection, after which the page opens the next one."""
WARM_UP_EVENTS: Final = 50
RUN_S: Final = 5.0
LEAST_EVENTS: Final = 100
"""A page on busy cores takes in this many events within `RUN_S`, of which a worker tells it two in a second at most."""
BOUND_MB: Final = 1.0
SILENCE_S: Final = 10.0
"""Least time from one thing read aloud to the next."""
NOTES_SPEECH: Final = """
window.spoken = [];
new MutationObserver(changes => spoken.push(changes))
  .observe(document.querySelector("[aria-live=polite]"), { childList: true, characterData: true, subtree: true });
"""


class Hurry:
    """Answers each question of a page for a stream with what its worker says, changed many times as fast as the page reads.

    Words change places and counts grow in every event; positions stay as they are.
    """

    def __init__(self) -> None:
        self.told = 0
        self._numbers = itertools.count(1)

    async def answer(self, route: Route) -> None:
        first = await _first_event(route.request.url)
        said = "".join(f"event: change\ndata: {json.dumps(body)}\n\n" for body in self._changed(first))
        await route.fulfill(
            status=200, headers={"Content-Type": "text/event-stream"}, body=f"retry: 1\n\n{said}"
        )
        self.told += EVENTS

    def _changed(self, first: dict[str, Any]) -> Iterator[dict[str, Any]]:
        words = first.get("words", [])
        for _ in range(EVENTS):
            number = next(self._numbers)
            turned = [*words[number % max(1, len(words)) :], *words[: number % max(1, len(words))]]
            yield {**first, "words": [{**word, "count": word["count"] + number} for word in turned]}

    async def until(self, events: int) -> None:
        """Wait until the page was told of so many events."""

        async def told() -> bool:
            return self.told >= events

        await wait_for(told, f"{events} events")


async def _first_event(address: str) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client, client.stream("GET", address) as reply:
        event = await Events(reply).next()
    assert event is not None
    return dict(event.data)


async def test_hundreds_of_changes_leave_the_memory_as_it_was(open_page: OpenPage) -> None:
    watched = await open_page()
    await expect(watched.connection).to_have_text("live")
    hurry = Hurry()
    await watched.page.route("**/v1/stream?*", hurry.answer)
    await watched.page.reload()
    await watched.page.evaluate(NOTES_SPEECH)
    await hurry.until(WARM_UP_EVENTS)
    before = await memory_of(watched.page)
    told, began_s = hurry.told, time.monotonic()
    await asyncio.sleep(RUN_S)
    await hurry.until(told + LEAST_EVENTS)
    after = await memory_of(watched.page)
    passed_s = time.monotonic() - began_s
    print(f"{hurry.told - told} events in {passed_s:.1f} s: {before}; {after}")
    assert after.heap_mb - before.heap_mb < BOUND_MB, (before, after)
    assert after.nodes < 1.2 * before.nodes, (before, after)
    assert after.listeners <= 1.2 * before.listeners, (before, after)
    times, page_s = await watched.page.evaluate("[spoken.length, performance.now() / 1000]")
    assert times <= 1 + page_s / SILENCE_S
