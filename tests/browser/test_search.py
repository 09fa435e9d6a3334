"""Finding a word: suggestions while somebody types, and the view of one word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.browser.site import new_word
from tests.browser.watched import word_view

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage
    from tests.browser.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_words_are_suggested_while_somebody_types(site: Site, open_page: OpenPage) -> None:
    stem = new_word("stem")
    await site.send(f"{stem}a", f"{stem}b", f"{stem}b")
    await site.counted(site.worker)
    watched = await open_page()
    options = watched.page.get_by_role("listbox").get_by_role("option")
    await watched.search.press_sequentially(stem)
    await expect(options).to_have_count(2)
    await watched.search.press_sequentially("b")
    await expect(options).to_have_count(1)
    await expect(options).to_contain_text(f"{stem}b")


async def test_a_suggestion_opens_the_view_of_its_word(site: Site, open_page: OpenPage) -> None:
    stem = new_word("stem")
    await site.send(f"{stem}a", f"{stem}b", f"{stem}b")
    await site.counted(site.worker)
    watched = await open_page()
    await watched.search.press_sequentially(stem)
    await watched.page.get_by_role("option").filter(has_text=f"{stem}b").click()
    await expect(watched.page.get_by_role("heading", level=2, name=f"{stem}b", exact=True)).to_be_visible()
    await expect(watched.total).to_have_text("2")
    await watched.page.go_back()
    await expect(watched.most_frequent).to_be_visible()


async def test_what_is_typed_opens_the_view_of_a_word_that_was_never_counted(open_page: OpenPage) -> None:
    word = new_word("never")
    watched = await open_page()
    await watched.search.fill(word)
    await watched.search.press("Enter")
    await expect(watched.page.get_by_role("heading", level=2, name=word, exact=True)).to_be_visible()
    await expect(watched.total).to_have_text("0")


async def test_the_view_of_a_word_has_its_minutes_and_hours(open_page: OpenPage) -> None:
    watched = await open_page(word_view("fox"))
    for name in ("Count per minute", "Count per hour"):
        figure = watched.page.get_by_role("figure", name=name)
        await expect(figure).to_be_visible()
        await expect(figure.locator("svg")).to_be_visible()
        await expect(figure.get_by_role("table").get_by_role("row").nth(1)).to_be_attached()
