"""Words that would be markup, scripts or addresses are shown as the text that they are.

Each test also fails for a dialog, a request to elsewhere, an error in the console, or what the page's policy has refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.hostile import HOSTILE
from tests.browser.watched import word_view

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage
    from tests.browser.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")
NARROW = {"width": 320, "height": 800}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hostile_site(site: Site) -> Site:
    """The site, whose most frequent words are the hostile ones."""
    await site.send(*HOSTILE.values(), times=await site.highest() + 1)
    await site.counted(site.worker)
    return site


async def test_the_most_frequent_words_are_text(hostile_site: Site, open_page: OpenPage) -> None:
    watched = await open_page()
    items = watched.most_frequent.get_by_role("listitem")
    await expect(items.first).to_be_visible()
    shown = await items.all_text_contents()
    top = (await hostile_site.worker.json("/v1/top", k=len(shown)))["words"]
    assert [word["word"] in text for word, text in zip(top, shown, strict=True)] == [True] * len(shown)
    assert len({word["word"] for word in top} & set(HOSTILE.values())) >= min(len(shown), len(HOSTILE))


async def test_the_view_of_a_word_has_it_as_text(hostile_site: Site, open_page: OpenPage) -> None:
    watched = await open_page(viewport=NARROW)
    for name, word in HOSTILE.items():
        await watched.go(word_view(word))
        await expect(watched.heading, name).to_contain_text(word, use_inner_text=False)
        await expect(watched.total, name).to_have_text(re.compile(r"^[1-9][\d,]*$"))
        assert await watched.width() <= NARROW["width"], name


async def test_a_link_leads_to_the_word_that_it_names(hostile_site: Site, open_page: OpenPage) -> None:
    watched = await open_page()
    await watched.ranked(HOSTILE["path"]).get_by_role("link").click()
    await expect(watched.heading).to_have_text(HOSTILE["path"])


async def test_suggestions_are_text(hostile_site: Site, open_page: OpenPage) -> None:
    watched = await open_page()
    for name in ("image", "svg", "prototype", "right_to_left", "emoji"):
        await watched.search.fill(HOSTILE[name])
        await expect(watched.page.get_by_role("option").first, name).to_contain_text(HOSTILE[name])
        await watched.search.press("Enter")
        await expect(watched.heading, name).to_have_text(HOSTILE[name])


async def test_a_text_that_is_tried_is_text(hostile_site: Site, open_page: OpenPage) -> None:
    text = " ".join(HOSTILE[name] for name in ("image", "script", "svg", "entity", "emoji"))
    watched = await open_page()
    await watched.text.fill(text)
    for name in ("image", "script", "svg", "entity", "emoji"):
        await expect(watched.tokens).to_contain_text(HOSTILE[name])
