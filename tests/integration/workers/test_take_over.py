"""An owner of a million rows is killed: its standby counts within two seconds of the group's decision, and restores nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.take_over import LINE, take_over
from tests.integration.worker import wait_counted, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

ROWS = 1_000_000
WORDS_PER_LINE = 1000
COUNTING_S = 2.0
"""Longest time from the decision of the group until the standby counts: 0.1 s on two quiet cores."""

COUNTED_S = 6.0
"""Longest time from then until a new record is counted and flushed: 0.8 s on two quiet cores."""


async def test_a_standby_of_a_million_rows_counts_again_within_two_seconds_without_a_restore(
    kafka: KafkaClient, workers: Workers, record_property: Callable[[str, object], None]
) -> None:
    topic, servers = workers.topic, workers.bootstrap_servers
    await kafka.create_topic(topic, 1)
    words = [b"word%06d" % number for number in range(ROWS)]
    texts = [b" ".join(words[start : start + WORDS_PER_LINE]) for start in range(0, ROWS, WORDS_PER_LINE)]
    await kafka.produce(topic, texts, compression="lz4")
    owner = await workers(standbys=1).start().wait_ready()
    await wait_counted([owner], servers, topic)
    standby = await workers(standbys=1).start().wait_ready()

    async def followed() -> bool:
        listed = (await standby.json("/v1/assignments"))["workers"]
        (here,) = [each for each in listed if each["here"]]
        follower = here["standby"].get("0")
        return follower is not None and (follower["state"], follower["behind_records"]) == ("following", 0)

    await wait_for(followed, "the partition is followed")
    url = f"http://127.0.0.1:{standby.port}"
    taken = await take_over(servers, topic, workers.group, url, lambda: owner.signal(signal.SIGKILL))
    for name, value in asdict(taken).items():
        record_property(name, value)
    print(taken)
    assert taken.rows_restored == 0
    assert taken.counting_s <= COUNTING_S
    assert taken.counted_s <= COUNTED_S
    assert not owner.is_running()

    stats = await standby.stats()
    assert (stats["words"], stats["as_of"]) == (ROWS + len(LINE.split()), {"0": len(texts) + 1})
    for number in range(0, ROWS, ROWS // 20):
        assert (await standby.json(f"/v1/words/word{number:06d}"))["count"] == 1
    assert (await standby.json("/v1/words/kill"))["count"] == 1
