"""A page in a browser, and all that must never happen in it, whatever is counted and whoever is killed."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from playwright.async_api import Browser, ConsoleMessage, Dialog, Error, Locator, Page, Request

from tests.integration.worker import Worker

TIMEOUT_MS: Final = 30_000
"""Time limit for whatever a page shows after a second or two on two busy cores."""
LAST_LOOK_MS: Final = 5_000
REPORTS_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", event => {
  console.error(`Content-Security-Policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""
LOST: Final = re.compile(r"Failed to load resource: (net::ERR_|the server responded with a status of 503)")
"""What Chromium itself writes to the console when a worker does not answer, or has no whole answer, for a while."""


class Watched:
    """A page of a worker, with what went wrong in it.

    Args:
        page: an empty page of a context of its own.
        origin: where the worker listens; every request has to go there.
        may_be_lost: whether the worker may be away for a while, which Chromium reports by itself.
    """

    def __init__(self, page: Page, origin: str, *, may_be_lost: bool = False) -> None:
        self.page = page
        self.origin = origin
        self.problems: list[str] = []
        self._may_be_lost = may_be_lost
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error.stack}"))
        page.on("dialog", self._dialog)
        page.on("popup", lambda popup: self.problems.append(f"window: {popup.url}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        lost = self._may_be_lost and LOST.match(message.text)
        if message.type in {"error", "warning"} and not lost:
            self.problems.append(f"console: {message.text} {message.location.get('url', '')}")

    async def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", f"blob:{self.origin}/")):
            self.problems.append(f"request: {request.url[:200]}")

    async def go(self, fragment: str) -> None:
        """Show a view of the page, as a link or a bookmark does."""
        await self.page.goto(f"{self.origin}/{fragment}")

    @property
    def connection(self) -> Locator:
        return self.page.get_by_test_id("connection")

    @property
    def total(self) -> Locator:
        return self.page.get_by_test_id("total")

    @property
    def search(self) -> Locator:
        return self.page.get_by_label("Search words")

    @property
    def most_frequent(self) -> Locator:
        """The list of the most frequent words, of which `listitem` is a word with its count."""
        return self.page.get_by_role("region", name="Most frequent words")

    def ranked(self, word: str) -> Locator:
        return self.most_frequent.get_by_role("listitem").filter(has=self.page.get_by_text(word, exact=True))

    @property
    def counted_over(self) -> Locator:
        """The choices of what the most frequent words are counted over."""
        return self.page.get_by_role("radiogroup", name="Counted over").get_by_role("radio")

    async def count_over(self, choice: str) -> None:
        await self.counted_over.and_(self.page.get_by_role("radio", name=choice, exact=True)).check()

    @property
    def heading(self) -> Locator:
        """The word of a word's view."""
        return self.page.get_by_role("heading", level=2).first

    @property
    def try_a_text(self) -> Locator:
        return self.page.get_by_role("region", name="Try a text")

    @property
    def text(self) -> Locator:
        return self.try_a_text.get_by_role("textbox", name="Text")

    @property
    def tokens(self) -> Locator:
        return self.page.get_by_test_id("tokens")

    async def count_of(self, word: str) -> int:
        """Return the count of one of the most frequent words."""
        found = re.search(r"[\d,]+$", await self.ranked(word).inner_text())
        assert found is not None
        return int(found[0].replace(",", ""))

    async def width(self) -> int:
        """Return how wide the page is, in CSS pixels, with what can only be seen by scrolling sideways."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth"))

    async def close(self) -> None:
        """Close the page, and print what it showed, which pytest shows if the test failed."""
        try:
            shown = await self.page.locator("body").aria_snapshot(timeout=LAST_LOOK_MS)
        except Error as error:
            shown = f"nothing that could be read: {error.message}"
        print(f"--- {self.page.url[:200]}\n{shown}")
        await self.page.context.close()


async def open_watched(
    browser: Browser, worker: Worker, fragment: str = "#/", *, may_be_lost: bool = False, **options: Any
) -> Watched:
    """Open a page of a worker in a context of its own.

    Args:
        browser: the browser.
        worker: who is asked for the page.
        fragment: the view, see `word_view`.
        may_be_lost: as for `Watched`.
        options: what the context is made with: viewport, colour scheme, reduced motion.
    """
    context = await browser.new_context(**options)
    await context.add_init_script(REPORTS_VIOLATIONS)
    watched = Watched(await context.new_page(), f"http://127.0.0.1:{worker.port}", may_be_lost=may_be_lost)
    await watched.go(fragment)
    return watched


def word_view(word: str) -> str:
    """Return the fragment of the view of one word."""
    return f"#/word/{quote(word, safe='')}"
