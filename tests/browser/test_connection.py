"""The connection of a page to its worker: it comes back after the worker's end, says what is old, and can be paused."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.site import new_word
from tests.browser.watched import word_view
from tests.integration.worker import Worker

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage
    from tests.browser.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")
COMES_BACK_MS = 40_000
"""Time limit for a worker that starts again, restores its stores and joins its group, and for a page that finds it."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def other(site: Site) -> AsyncIterator[Worker]:
    """A second worker, which tests may end and start again."""
    worker = site.new_worker().start()
    await worker.wait_ready()
    yield worker
    await worker.close()
    await site.worker.wait_ready()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_a_page_goes_on_when_its_worker_was_ended_and_started_again(
    site: Site, other: Worker, open_page: OpenPage, ending: signal.Signals
) -> None:
    word = new_word("again")
    await site.send(word)
    watched = await open_page(word_view(word), other, may_be_lost=True)
    await expect(watched.connection).to_have_text("live")
    await expect(watched.page).to_have_title(re.compile("Wordcount"))
    await expect(watched.total).to_have_text("1")
    other.signal(ending)
    await expect(watched.connection).to_have_text("reconnecting")
    await expect(watched.page).to_have_title(re.compile("reconnecting"))
    await expect(watched.total).to_have_text("1")
    await other.ended()
    await site.send(word)
    other.start()
    await expect(watched.total).to_have_text("2", timeout=COMES_BACK_MS)
    await expect(watched.connection).to_have_text("live")


async def test_what_a_page_shows_is_called_stale_while_its_worker_hangs(
    site: Site, other: Worker, open_page: OpenPage
) -> None:
    watched = await open_page(worker=other, may_be_lost=True)
    await expect(watched.connection).to_have_text("live", timeout=COMES_BACK_MS)
    await expect(watched.page.get_by_test_id("as-of-age")).to_have_text(re.compile(r"\d s ago"))
    banner = watched.page.get_by_role("alert").filter(has_text="stale")
    await expect(banner).to_have_count(0)
    other.pause()
    try:
        await expect(banner).to_be_visible()
    finally:
        other.resume()
    await expect(banner).not_to_be_visible(timeout=COMES_BACK_MS)
    await expect(watched.connection).to_have_text("live")


async def test_a_page_that_is_paused_stays_as_it_is(site: Site, open_page: OpenPage) -> None:
    word = new_word("paused")
    await site.send(word)
    paused, other = await open_page(word_view(word)), await open_page(word_view(word))
    for watched in (paused, other):
        await expect(watched.total).to_have_text("1")
    await paused.page.get_by_role("button", name="Pause").click()
    await expect(paused.connection).to_have_text("paused")
    for times in (2, 3):  # the page that is not paused is told of one change after the other
        await site.send(word)
        await expect(other.total).to_have_text(str(times))
    await expect(paused.total).to_have_text("1")
    await paused.page.get_by_role("button", name="Resume").click()
    await expect(paused.total).to_have_text("3")
    await expect(paused.connection).to_have_text("live")
