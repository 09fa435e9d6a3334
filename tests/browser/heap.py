"""Measures how much memory an open page takes more as time goes by: `python -m tests.browser.heap --minutes 10`.

The page shows `make run`: 8 partitions, the sample text flowing. Prints the JavaScript heap, the nodes and the listeners after forced
garbage collections, every half minute; fails if the heap has grown by more than `BOUND_MB` since the page has warmed up.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import dataclass
from typing import Final

from playwright.async_api import Page

from tests.browser.chromium import NoChromiumError, chromium
from tests.browser.demo import demo

BOUND_MB: Final = 5.0
WARM_UP_S: Final = 30.0
EVERY_S: Final = 30.0


@dataclass(frozen=True)
class Memory:
    """What a page holds after a garbage collection."""

    heap_mb: float
    nodes: int
    listeners: int

    def __str__(self) -> str:
        return f"{self.heap_mb:.2f} MB heap, {self.nodes} nodes, {self.listeners} listeners"


async def memory_of(page: Page) -> Memory:
    """Collect garbage in the page, and return what it holds then."""
    session = await page.context.new_cdp_session(page)
    try:
        for _ in range(2):  # what a first collection finalises is freed by a second one
            await session.send("HeapProfiler.collectGarbage")
        heap = await session.send("Runtime.getHeapUsage")
        counted = await session.send("Memory.getDOMCounters")
    finally:
        await session.detach()
    return Memory(heap["usedSize"] / 1e6, counted["nodes"], counted["jsEventListeners"])


async def measure(minutes: float) -> float:
    """Watch the page for this long after it has warmed up; print what it holds, and return by how many MB its heap has grown."""
    async with demo() as address, chromium() as browser:
        page = await browser.new_page()
        await page.goto(address)
        await asyncio.sleep(WARM_UP_S)
        first = last = await memory_of(page)
        print(f"   0 s: {first}", flush=True)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < 60 * minutes:
            await asyncio.sleep(min(EVERY_S, 60 * minutes - passed))
            last = await memory_of(page)
            print(f"{time.monotonic() - began:4.0f} s: {last}", flush=True)
    return last.heap_mb - first.heap_mb


def main() -> None:
    """Measure as the command line says; end with 1 if the heap has grown too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    try:
        grown_mb = asyncio.run(measure(parser.parse_args().minutes))
    except NoChromiumError as error:
        raise SystemExit(str(error)) from None
    print(f"grown by {grown_mb:.2f} MB, of at most {BOUND_MB:g} MB")
    raise SystemExit(grown_mb > BOUND_MB)


if __name__ == "__main__":
    main()
