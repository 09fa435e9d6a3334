"""Trying a text on the page: it is explained while somebody types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_text_is_explained_while_somebody_types(open_page: OpenPage) -> None:
    watched = await open_page()
    await watched.text.press_sequentially("two foxes")
    await expect(watched.tokens).to_contain_text("two")
    await expect(watched.tokens).to_contain_text("foxes")
    await watched.text.fill("no others")
    await expect(watched.tokens).to_contain_text("others")
    await expect(watched.tokens).not_to_contain_text("foxes")
