"""A worker for each test of partitions."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.tables.partitions.assigned_worker import Worker, opened_worker


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    async with opened_worker(tmp_path) as opened:
        yield opened
