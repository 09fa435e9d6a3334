"""Draws the pictures of the documents from a real worker with the sample text: `python -m tests.browser.screenshots`.

Each picture has a palette of 256 colours at most, which makes it a third as large and looks the same.
"""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from playwright.async_api import Page, ViewportSize, expect

from tests.browser.chromium import NoChromiumError, chromium
from tests.browser.demo import ROOT, demo

FOLDER: Final = ROOT / "docs" / "images"
PICTURES: Final = {"live-page": "#/"}
"""Name of a picture -> the view that it shows."""
SCHEMES: Final[Mapping[str, Literal["light", "dark"]]] = {"": "light", "-dark": "dark"}
"""How the name of a file ends -> its colours."""
SIZE: Final[ViewportSize] = {"width": 1200, "height": 860}
SETTLED_S: Final = 30.0
"""Seconds after which the figures over time have something to show."""


async def draw(page: Page, path: Path) -> None:
    """Write a picture of what the page shows."""
    picture = Image.open(io.BytesIO(await page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KiB")


async def draw_all() -> None:
    """Draw every picture of the documents, in light and dark."""
    async with demo() as address, chromium() as browser:
        pages = {}
        for (name, fragment), (ending, scheme) in itertools.product(PICTURES.items(), SCHEMES.items()):
            page = await browser.new_page(
                viewport=SIZE, color_scheme=scheme, device_scale_factor=1.5, reduced_motion="reduce"
            )
            await page.goto(address + fragment)
            pages[f"{name}{ending}.png"] = page
        await asyncio.sleep(SETTLED_S)
        for name, page in pages.items():
            await expect(page.get_by_test_id("connection")).to_have_text("live")
            await draw(page, FOLDER / name)


def main() -> None:
    """Draw, or say what is missing."""
    try:
        asyncio.run(draw_all())
    except NoChromiumError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
