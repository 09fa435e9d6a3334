"""Draws the pictures of the documents from a real worker with the sample text: `python -m tests.browser.screenshots`.

Each picture has a palette of 256 colours at most, which makes it a third as large and looks the same.
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from playwright.async_api import Page, expect

from tests.browser.chromium import NoChromiumError, chromium
from tests.browser.demo import ROOT, demo

FOLDER: Final = ROOT / "docs" / "images"
SIZE: Final = {"width": 1200, "height": 860}
SETTLED_S: Final = 20.0
"""Seconds after which the figures over time have something to show."""


async def draw(page: Page, path: Path) -> None:
    """Write a picture of what the page shows."""
    picture = Image.open(io.BytesIO(await page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KiB")


async def draw_all() -> None:
    """Draw every picture of the documents, in light and dark."""
    schemes: dict[Literal["light", "dark"], str] = {"light": "", "dark": "-dark"}
    async with demo() as address, chromium() as browser:
        pages = {}
        for scheme in schemes:
            pages[scheme] = await browser.new_page(
                viewport=SIZE, color_scheme=scheme, device_scale_factor=1.5, reduced_motion="reduce"
            )
            await pages[scheme].goto(address)
        await asyncio.sleep(SETTLED_S)
        for scheme, ending in schemes.items():
            page = pages[scheme]
            await expect(page.get_by_test_id("connection")).to_have_text("live")
            await page.bring_to_front()
            await draw(page, FOLDER / f"live-page{ending}.png")
            await page.goto(f"{address}#/word/function")
            await expect(page.get_by_role("figure").first).to_be_visible()
            await draw(page, FOLDER / f"word-page{ending}.png")


def main() -> None:
    """Draw, or say what is missing."""
    try:
        asyncio.run(draw_all())
    except NoChromiumError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
