"""The page without a mouse: everything that can be used is reached, seen and used by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from playwright.async_api import expect

from tests.browser.site import new_word

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage
    from tests.browser.site import Site
    from tests.browser.watched import Watched

pytestmark = pytest.mark.asyncio(loop_scope="session")
MOST_STEPS: Final = 150
FOCUSED: Final = """() => {
  const one = document.activeElement, style = getComputedStyle(one);
  if (one === document.body) return null;
  const rings = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";
  const box = one.getBoundingClientRect();
  one.dataset.reached = "";
  return { name: one.outerHTML.slice(0, 80), rings, inside: box.bottom > 0 && box.top < innerHeight };
}"""
UNREACHED: Final = """() => [...document.querySelectorAll("a[href], button, input, textarea, select")]
  .filter(one => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0)
  .filter(one => one.type !== "radio" || one.checked)
  .filter(one => !("reached" in one.dataset))
  .map(one => one.outerHTML.slice(0, 80))"""


async def focus_by_tab(watched: Watched, name: str) -> None:
    """Press Tab until what has the focus has this label or text."""
    for _ in range(MOST_STEPS):
        await watched.page.keyboard.press("Tab")
        focused = watched.page.locator(":focus")
        if await focused.count() and name in (
            (await focused.get_attribute("aria-label") or "") + (await focused.inner_text()),
            *(
                await focused.evaluate(
                    "one => [...(one.labels ?? [])].map(label => label.textContent.trim())"
                )
            ),
        ):
            return
    raise AssertionError(f"Tab does not lead to {name}")


async def test_tab_leads_to_everything_and_shows_where_it_is(open_page: OpenPage) -> None:
    watched = await open_page(reduced_motion="reduce")
    await expect(watched.connection).to_have_text("live")
    for _ in range(MOST_STEPS):
        await watched.page.keyboard.press("Tab")
        focused = await watched.page.evaluate(FOCUSED)
        if focused is None:
            break
        assert (focused["rings"], focused["inside"]) == (True, True), focused
    assert await watched.page.evaluate(UNREACHED) == []


async def test_a_word_is_found_by_keys_alone(site: Site, open_page: OpenPage) -> None:
    stem = new_word("keys")
    await site.send(f"{stem}a", f"{stem}b", f"{stem}b")
    await site.counted(site.worker)
    watched = await open_page()
    keyboard = watched.page.keyboard
    await focus_by_tab(watched, "Search words")
    await keyboard.type(stem)
    options = watched.page.get_by_role("option")
    await expect(options).to_have_count(2)
    await keyboard.press("ArrowDown")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    chosen = f"{stem}a" if f"{stem}a" in await options.first.inner_text() else f"{stem}b"
    await keyboard.press("Enter")
    await expect(watched.page.get_by_role("heading", level=2, name=chosen, exact=True)).to_be_visible()
    await focus_by_tab(watched, "Overview")
    await keyboard.press("Enter")
    await expect(watched.most_frequent).to_be_visible()


async def test_escape_closes_the_suggestions(open_page: OpenPage) -> None:
    watched = await open_page()
    await focus_by_tab(watched, "Search words")
    await watched.page.keyboard.type("f")
    await expect(watched.page.get_by_role("option").first).to_be_visible()
    await watched.page.keyboard.press("Escape")
    await expect(watched.page.get_by_role("option")).to_have_count(0)


async def test_the_page_is_paused_by_keys(open_page: OpenPage) -> None:
    watched = await open_page()
    await focus_by_tab(watched, "Pause")
    await watched.page.keyboard.press("Space")
    await expect(watched.connection).to_have_text("paused")
    await watched.page.keyboard.press("Enter")
    await expect(watched.connection).to_have_text("live")
