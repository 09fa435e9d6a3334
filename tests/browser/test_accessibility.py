"""axe-core finds nothing to complain about in any view, in light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.browser.watched import word_view

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage
    from tests.browser.watched import Watched

pytestmark = pytest.mark.asyncio(loop_scope="session")
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
NARROW = {"width": 320, "height": 800}


async def assert_accessible(watched: Watched, view: str) -> None:
    found = await Axe().run(watched.page)
    assert found.violations_count == 0, f"{view}: {found.generate_report()}"


@SCHEMES
async def test_the_overview_is_accessible(open_page: OpenPage, scheme: Literal["light", "dark"]) -> None:
    watched = await open_page(color_scheme=scheme, reduced_motion="reduce")
    await expect(watched.ranked("the")).to_be_visible()
    await assert_accessible(watched, "all time")
    for choice in await watched.counted_over.all():
        await choice.check()
        await expect(watched.most_frequent).not_to_contain_text("Asking")
        await assert_accessible(watched, await choice.input_value())
    await watched.search.press_sequentially("f")
    await expect(watched.page.get_by_role("option").first).to_be_visible()
    await assert_accessible(watched, "suggestions")
    await watched.page.get_by_role("button", name="Pause").click()
    await assert_accessible(watched, "paused")
    await watched.page.set_viewport_size(NARROW)
    await assert_accessible(watched, "narrow")


@SCHEMES
async def test_the_view_of_a_word_is_accessible(
    open_page: OpenPage, scheme: Literal["light", "dark"]
) -> None:
    watched = await open_page(word_view("fox"), color_scheme=scheme, reduced_motion="reduce")
    await expect(watched.page.get_by_role("figure").first).to_be_visible()
    await assert_accessible(watched, "a word")
    await watched.page.set_viewport_size(NARROW)
    await assert_accessible(watched, "a word, narrow")
