"""A text that flows is sent again and again until the end of the `with` block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from app.local import flow as flow_module
from app.local.flow import LINES_PER_S, Flow
from app.produce.text_files import LineBlock
from tables.errors import BrokerUnavailableError, ConfigurationError

NO_SETTINGS: Any = None


def text() -> Iterable[LineBlock]:
    yield LineBlock("text", 1, [b"a"])
    yield LineBlock("text", 2, [b"b"])


def test_the_text_begins_again_after_its_end_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    enough, ended = threading.Event(), threading.Event()

    async def produce(_: Any, blocks: Iterable[LineBlock], *, lines_per_s: float, **__: Any) -> None:
        assert lines_per_s == LINES_PER_S
        try:
            for block in blocks:
                sent.extend(block.lines)
                if len(sent) == 5:
                    enough.set()
                    await asyncio.sleep(60)
        finally:
            ended.set()

    monkeypatch.setattr(flow_module, "produce_blocks", produce)
    with Flow(NO_SETTINGS, text) as flow:
        assert enough.wait(10)
        flow.check()
        assert not ended.is_set()
    assert ended.is_set()
    assert sent == [b"a", b"b", b"a", b"b", b"a"]
    flow.check()


def test_the_error_that_ends_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    async def produce(*_: Any, **__: Any) -> None:
        failed.set()
        raise BrokerUnavailableError("no broker answers")

    monkeypatch.setattr(flow_module, "produce_blocks", produce)
    with Flow(NO_SETTINGS, text) as flow:
        assert failed.wait(10)
        flow._thread.join(10)
        with pytest.raises(BrokerUnavailableError):
            flow.check()


def test_a_text_without_lines_is_refused_instead_of_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def produce(_: Any, blocks: Iterable[LineBlock], **__: Any) -> None:
        for _block in blocks:
            pass

    monkeypatch.setattr(flow_module, "produce_blocks", produce)
    with Flow(NO_SETTINGS, tuple) as flow:
        flow._thread.join(10)
        with pytest.raises(ConfigurationError, match="no lines"):
            flow.check()
