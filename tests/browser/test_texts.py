"""Trying a text on the page: it is explained while somebody types, and counted when asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Route, expect

from tests.browser.site import new_word
from tests.browser.watched import word_view

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage
    from tests.browser.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_text_is_explained_while_somebody_types(open_page: OpenPage) -> None:
    watched = await open_page()
    await watched.text.press_sequentially("two foxes")
    await expect(watched.tokens).to_contain_text("two")
    await expect(watched.tokens).to_contain_text("foxes")
    await watched.text.fill("no others")
    await expect(watched.tokens).to_contain_text("others")
    await expect(watched.tokens).not_to_contain_text("foxes")


async def test_a_text_that_is_sent_from_the_page_is_counted(site: Site, open_page: OpenPage) -> None:
    word = new_word("typed")
    other = await open_page(word_view(word))
    await expect(other.total).to_have_text("0")
    watched = await open_page()
    await watched.text.fill(f"{word} once\n{word} twice")
    await watched.try_a_text.get_by_role("button", name="Count it").click()
    await expect(watched.try_a_text.get_by_role("status")).to_have_text(re.compile(r"\b[12] texts?\b"))
    await expect(other.total).to_have_text("2")


async def test_a_text_keeps_its_key_until_it_is_confirmed_and_another_text_gets_another(
    open_page: OpenPage,
) -> None:
    watched = await open_page(may_be_lost=True)
    keys: list[str] = []

    async def in_doubt(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        await route.fulfill(
            status=503, json={"title": "Not delivered", "detail": "1 in doubt", "status": 503}
        )

    await watched.page.route("**/v1/texts", in_doubt)
    button = watched.try_a_text.get_by_role("button", name="Count it")
    status = watched.try_a_text.get_by_role("status")
    await watched.text.fill("in doubt")
    await button.click()
    await expect(status).to_contain_text("Press again: the text will not be counted twice.")
    await watched.text.press_sequentially(" ")
    await expect(watched.page.locator("#counted")).to_be_empty()
    await watched.text.press("Backspace")
    await button.click()
    await expect(status).to_contain_text("Press again")
    await watched.text.fill("another")
    await button.click()
    await expect(status).to_contain_text("Press again")
    assert keys[0] == keys[1] != keys[2]
