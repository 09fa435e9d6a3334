"""The independent recount: every record of a topic, read by a plain consumer and counted by the tokeniser's definition.

Shares nothing with the counting path but the meaning of a word: no batches, no Arrow, no changelog, no store.
"""

from __future__ import annotations

from collections import Counter

from aiokafka import AIOKafkaConsumer

from agents.tokenizer import Tokenizer
from app.kafka_auth import kafka_auth
from app.settings import Settings

POLL_MS = 500


async def recount(settings: Settings, words: Tokenizer) -> Counter[str]:
    """Count the topic's text records up to its present end, with the default policies; holds all words in memory."""
    consumer = AIOKafkaConsumer(
        settings.topic,
        bootstrap_servers=settings.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level=settings.isolation,
        **kafka_auth(settings),
    )
    counts: Counter[str] = Counter()
    async with consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    if record.value is not None:
                        counts.update(words.tokens(record.value.decode("utf-8", "replace")))
    return Counter({word: n for word, n in counts.items() if len(word.encode()) <= settings.max_word_bytes})
