"""The agent: every event, a poll's batches of one partition, goes into the partition's buffer. Counting happens in `tables`."""

from __future__ import annotations

from typing import Any

from tables.partitions.partitions import WordCounts


async def count_words(stream: Any, word_counts: WordCounts) -> None:
    """Take in all events of `stream`. Never waits: back-pressure is `WordCounts.accepting`, which the fetch obeys."""
    async for event in stream.events():
        fetched = event.value
        word_counts.add(event.message.partition, fetched.batches, fetched.highwater)
