"""The page in a browser."""

import pytest

from tests.unit.app.web.resources.browser import Browser
from tests.unit.app.web.resources.page_answers import page_of


@pytest.fixture
async def browser(client):
    """The page that was just opened."""
    return Browser((await page_of(client)).text)
