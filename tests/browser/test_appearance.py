"""The page on narrow and wide screens, in the dark, without motion, and without scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from playwright.async_api import expect

from tests.browser.site import new_word
from tests.browser.watched import open_watched, word_view

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.conftest import OpenPage
    from tests.browser.site import Site
    from tests.browser.watched import Watched

pytestmark = pytest.mark.asyncio(loop_scope="session")
VIEWS: Final = {"overview": "#/", "word": word_view("fox")}
COUNTS_MOTIONS: Final = """
window.motions = 0;
const look = () => {
  motions = Math.max(motions, document.getAnimations({ subtree: true }).filter(one => one.playState === "running").length);
  requestAnimationFrame(look);
};
look();
"""


async def test_a_narrow_and_a_wide_screen_need_no_scrolling_sideways(open_page: OpenPage) -> None:
    for fragment in VIEWS.values():
        watched = await open_page(fragment)
        await expect(watched.connection).to_have_text("live")
        for width in (320, 768, 3840):
            await watched.page.set_viewport_size({"width": width, "height": 800})
            assert await watched.width() <= width, (fragment, width)


async def test_all_that_a_narrow_screen_shows_can_be_read(open_page: OpenPage) -> None:
    watched = await open_page(viewport={"width": 320, "height": 800})
    ranked = watched.ranked("the")
    await expect(ranked).to_be_visible()
    box = await ranked.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= 320


@pytest.mark.parametrize("fragment", VIEWS.values(), ids=VIEWS)
async def test_the_page_is_light_or_dark_as_the_system_wants(open_page: OpenPage, fragment: str) -> None:
    light = await open_page(fragment, color_scheme="light")
    dark = await open_page(fragment, color_scheme="dark")
    assert await brightness(light, "backgroundColor") > 0.8 > 0.4 > await brightness(light, "color")
    assert await brightness(dark, "backgroundColor") < 0.2 < 0.6 < await brightness(dark, "color")


async def brightness(watched: Watched, property_: str) -> float:
    """Return from 0 (black) to 1 (white) what colour the page's text or background has."""
    colour = await watched.page.evaluate(
        """property => {
          const context = document.createElement("canvas").getContext("2d");
          context.fillStyle = getComputedStyle(document.body)[property];
          context.fillRect(0, 0, 1, 1);
          return [...context.getImageData(0, 0, 1, 1).data];
        }""",
        property_,
    )
    return float(sum(colour[:3]) / 3 / 255)


async def test_nothing_moves_where_the_system_wants_no_motion(site: Site, open_page: OpenPage) -> None:
    moving = await open_page()
    still = await open_page(reduced_motion="reduce")
    for watched in (moving, still):
        await expect(watched.connection).to_have_text("live")
        await watched.page.evaluate(COUNTS_MOTIONS)
    word = new_word("moved")
    await site.send(word, times=await site.highest() + 1)
    for watched in (moving, still):
        await expect(watched.most_frequent.get_by_role("listitem").first).to_contain_text(word)
    await moving.page.wait_for_function("motions > 0")
    assert await still.page.evaluate("motions") == 0


async def test_a_browser_without_scripts_gets_links_to_the_resources(browser: Browser, site: Site) -> None:
    watched = await open_watched(browser, site.worker, java_script_enabled=False)
    links = watched.page.get_by_role("link")
    addresses = [
        await link.get_attribute("href") or "" for link in await links.all() if await link.is_visible()
    ]
    asked = [address for address in addresses if re.match(r"/?v1/", address)]
    assert asked
    for address in asked:
        assert (await site.worker.get(f"/{address.lstrip('/')}")).status_code == 200, address
    await watched.page.context.close()
