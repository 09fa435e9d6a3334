"""A real Chromium for the tests: one that this machine has, never one that is downloaded.

It starts with an empty profile, and reaches nothing but loopback: every other name has no address for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Error, async_playwright

VARIABLE: Final = "TEST_CHROMIUM"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
REMEDY: Final = (
    f"apt-get install -y --no-install-recommends chromium (or name one that you have by {VARIABLE})"
)
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # root in a container has no other way
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class NoChromiumError(Exception):
    """No Chromium can be started; the text is one line, and says how to install it."""


def find(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the browser's program: what the variable names, else the first of `NAMES` on the PATH. Raise `NoChromiumError`."""
    named = environment.get(VARIABLE)
    wanted = [named] if named else list(NAMES)
    for name in wanted:
        if found := shutil.which(name, path=environment.get("PATH", "")):
            return Path(found)
    raise NoChromiumError(f"no {' or '.join(wanted)} on this machine; install it: {REMEDY}")


@asynccontextmanager
async def chromium(environment: Mapping[str, str] = os.environ) -> AsyncIterator[Browser]:
    """Start a Chromium, which ends with the block. Raise `NoChromiumError` if none is there, or it does not start."""
    program = find(environment)
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        except Error as error:
            reason = next(
                (line for line in error.message.splitlines() if "error" in line.lower()), "no reason"
            )
            raise NoChromiumError(
                f"{program} does not start ({reason.strip()}); install it: {REMEDY}"
            ) from error
        try:
            yield browser
        finally:
            await browser.close()
