"""Counts on the page: they appear after a text was sent, ranks move, and the words of a window differ from those of all time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.browser.site import TEXT, new_word
from tests.browser.watched import word_view
from tests.integration.worker import wait_for

if TYPE_CHECKING:
    from tests.browser.conftest import OpenPage
    from tests.browser.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_word_that_is_sent_is_counted_on_an_open_page(site: Site, open_page: OpenPage) -> None:
    word = new_word("sent")
    watched = await open_page(word_view(word))
    await expect(watched.page.get_by_role("heading", level=2, name=word, exact=True)).to_be_visible()
    await expect(watched.total).to_have_text("0")
    for times in (1, 2):
        await site.send(word)
        await expect(watched.total).to_have_text(str(times))


async def test_the_text_of_the_topic_is_ranked_with_its_counts(site: Site, open_page: OpenPage) -> None:
    watched = await open_page()
    told = (await site.worker.json("/v1/words/the"))["count"]
    assert told >= " ".join(TEXT).split().count("the")
    assert await watched.count_of("the") == told


async def test_words_overtake_each_other(site: Site, open_page: OpenPage) -> None:
    first, second = new_word("first"), new_word("second")
    watched = await open_page()
    await expect(watched.connection).to_have_text("live")
    leader = watched.most_frequent.get_by_role("listitem").first
    for word in (first, second):
        await site.send(word, times=await site.highest() + 1)
        await expect(leader).to_contain_text(word)
    await expect(watched.most_frequent.get_by_role("listitem").nth(1)).to_contain_text(first)


async def test_a_window_has_words_of_its_own(site: Site, open_page: OpenPage) -> None:
    watched = await open_page()
    all_time = await watched.count_of("the")
    await watched.count_over("Hour")
    await expect(watched.most_frequent).to_contain_text("final")
    assert 0 < await watched.count_of("the") < all_time
    await watched.count_over("All time")

    async def is_back() -> bool:
        return await watched.count_of("the") == all_time

    await wait_for(is_back, "the count of all time")
