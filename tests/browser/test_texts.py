"""Trying a text on the page: it is explained while somebody types, and counted when asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

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
