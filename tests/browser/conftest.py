"""One broker, one worker and one Chromium for all tests of this folder, which share an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, expect

from app.local.embedded import EmbeddedBroker
from tests.browser.chromium import NoChromiumError, chromium
from tests.browser.site import Site
from tests.browser.watched import TIMEOUT_MS, Watched, open_watched
from tests.integration.conftest import KafkaClient, Workers, broker, close_all
from tests.integration.worker import Worker

OpenPage = Callable[..., Awaitable[Watched]]
in_one_loop = pytest_asyncio.fixture(loop_scope="session")
for_all_tests = pytest_asyncio.fixture(scope="session", loop_scope="session")

__all__ = ["broker"]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> None:
    """Leave the frames of playwright out of what a failed test shows: pytest takes half a minute to read its one huge module."""
    if call.excinfo is not None:
        if isinstance(call.excinfo.value, Error):
            call.excinfo.value.__cause__ = call.excinfo.value.__context__ = None
        call.excinfo.traceback = call.excinfo.traceback.filter(
            lambda frame: "playwright" not in str(frame.path)
        )


@for_all_tests
async def browser() -> AsyncIterator[Browser]:
    """The Chromium; where none starts, each test fails with the line that installs it."""
    expect.set_options(timeout=TIMEOUT_MS)
    try:
        async with chromium() as running:
            yield running
    except NoChromiumError as error:
        pytest.fail(str(error), pytrace=False)


@for_all_tests
async def site(
    tmp_path_factory: pytest.TempPathFactory, broker: EmbeddedBroker, browser: Browser
) -> AsyncIterator[Site]:
    """The topic and its worker; it asks for the browser, so that nothing else starts where there is none."""
    servers = broker.bootstrap_servers
    workers = Workers(tmp_path_factory.mktemp("site"), servers, "browser-tests")
    try:
        made = Site(KafkaClient(servers), workers)
        await made.start()
        yield made
    finally:
        await close_all(workers.made)


@in_one_loop
async def open_page(browser: Browser, site: Site) -> AsyncIterator[OpenPage]:
    """Opens a page of a worker; at the end of the test nothing that must never happen has happened in it."""
    opened: list[Watched] = []

    async def open_one(fragment: str = "#/", worker: Worker | None = None, **options: Any) -> Watched:
        opened.append(await open_watched(browser, worker or site.worker, fragment, **options))
        return opened[-1]

    yield open_one
    for watched in opened:
        await watched.close()
    assert [watched.problems for watched in opened] == [[] for _ in opened]
