"""`wordcount run` with its sample text, for what is measured or drawn by hand: the page that a person sees at first."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
START_S: Final = 180.0
"""Time limit for Kafka, the worker and the whole text; the first start also fetches Kafka."""


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """Start Kafka and a worker, and yield the page's address once the text is counted; the text flows on until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "run", "--loop", "--folder", folder),
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("WORDCOUNT_")},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            address = ""
            async with asyncio.timeout(START_S):
                async for line in process.stdout:
                    if found := re.match(rb"live page: (http://\S+)   API: ", line):
                        address = found[1].decode()
                        break
            if not address:
                raise RuntimeError("wordcount run has ended; it says why above")
            yield address
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
