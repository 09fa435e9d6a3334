"""`wordcount verify --windows` on a real broker: right windows are called right, and each planted error is named."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import msgspec

from app.operate.window_verification import time_text
from tables.model.names import MARKER_KEY, changelog_topic
from tables.model.rows import Marker, decode_marker, encode_marker
from tables.model.windows import Pane
from tests.fakes.rows import pack_row
from tests.integration.operator_tools import append, wordcount
from tests.integration.worker import Worker, lines, wait_counted

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 2
RECORDS = 400
HOUR_MS = 3_600_000
BEGIN_MS = (int(time.time()) // 60 - 40 * 24 * 60) * 60_000
"""A full minute 40 days ago: brokers refuse times of the future."""

SETTINGS = {"windows": "5s,1m", "grace": "2s", "retention": "1h", "max_jump": "1h"}


def times(seed: int) -> list[int]:
    """Return ascending times, some of which are late, missing or from the future; the last two are hours ahead of all others."""
    chance = random.Random(seed)
    found, now_ms = [], BEGIN_MS
    for number in range(RECORDS - 2):
        now_ms += chance.choice([0, 100, 2000, 30_000])
        wrong = {50: 5, 100: now_ms + 20 * 24 * HOUR_MS, 200: now_ms + 30 * HOUR_MS, 300: now_ms - HOUR_MS}
        found.append(wrong.get(number, now_ms - chance.choice([0, 0, 0, 1000, 9000])))
    return [*found, now_ms + 5 * HOUR_MS, now_ms + 5 * HOUR_MS + 700]


async def counted(kafka: KafkaClient, workers: Workers) -> Worker:
    """Return a worker that has counted windows of two partitions."""
    await kafka.create_topic(workers.topic, PARTITIONS, {"retention.ms": "-1"})
    for partition in range(PARTITIONS):
        await kafka.produce(
            workers.topic, lines(partition, RECORDS), times=times(partition), partition=partition
        )
    worker = await workers(**SETTINGS).start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    return worker


def verified(worker: Worker, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code, and what is said of the windows of each partition."""
    done = wordcount(worker, "verify", "--windows", "--json", *arguments)
    assert not done.stderr, done.stderr
    return done.returncode, [partition["windows"] for partition in json.loads(done.stdout)]


async def last_marker(kafka: KafkaClient, changelog: str, partition: int) -> Marker:
    records = await kafka.read_all(changelog)
    return decode_marker(
        [one.value for one in records if one.partition == partition and one.key == MARKER_KEY][-1]
    )


async def test_every_live_window_is_compared_and_every_planted_error_is_named(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    code, found = verified(worker)
    assert code == 0
    for windows in found:
        assert (windows["begin"], windows["position"], windows["left_out"]) == (0, RECORDS, 0)
        assert windows["counts"] > windows["windows"] > 100
        assert windows["totals"] == windows["impossible"] == ""
    done = wordcount(worker, "verify", "--windows")
    assert done.stdout.count(" are right\n") == 2 * PARTITIONS
    _, (one, _) = verified(worker, "--word", "w1")
    assert 0 < one["counts"] < found[0]["counts"]

    changelog = changelog_topic(workers.group, workers.topic)
    marker = await last_marker(kafka, changelog, 1)
    assert marker.windows is not None
    assert marker.windows.stream_ms is not None
    assert marker.windows.jump is not None
    assert marker.late["5"] > marker.late["60"] > 0
    assert marker.untimed == {"impossible_time": 1, "jump": 2}
    start_s = marker.windows.stream_ms // 60_000 * 60
    ahead_s = marker.windows.jump.low_ms // 5000 * 5
    for pane, word in (
        (Pane(60, start_s), b"ghost"),
        (Pane(5, ahead_s, marker.windows.jump.epoch), b"ghost"),
    ):
        await append(workers.bootstrap_servers, changelog, 1, pane.prefix + word, pack_row(3, RECORDS))
    expired = Pane(60, start_s - 2 * 3600)
    await append(workers.bootstrap_servers, changelog, 1, expired.prefix + b"ghost", pack_row(3, RECORDS))
    code, found = verified(worker)
    assert code == 1
    assert [windows["differing"] for windows in found] == [0, 2]
    assert found[1]["differences"] == [
        {
            "size_s": 5,
            "start": time_text(ahead_s * 1000),
            "confirmed": False,
            "word": "ghost",
            "counted": 3,
            "recounted": 0,
        },
        {
            "size_s": 60,
            "start": time_text(start_s * 1000),
            "confirmed": True,
            "word": "ghost",
            "counted": 3,
            "recounted": 0,
        },
    ]
    done = wordcount(worker, "verify", "--windows")
    assert f"    'ghost' in 1m from {time_text(start_s * 1000)}: counted 3, recount 0\n" in done.stdout
    assert "2 counts differ in 1 partitions" in done.stdout

    wrong = msgspec.structs.replace(marker.windows.clock, stream_ms=marker.windows.stream_ms + 1)
    forged = msgspec.structs.replace(
        marker, windows=marker.windows.at(wrong), untimed={"impossible_time": 1, "jump": 3}
    )
    await append(workers.bootstrap_servers, changelog, 1, MARKER_KEY, encode_marker(forged))
    code, found = verified(worker)
    assert code == 1
    for part in ("event time ", time_text(marker.windows.stream_ms), "'jump': 3} (recount {", "'jump': 2"):
        assert part in found[1]["totals"]
    assert found[0]["totals"] == ""


async def test_windows_that_former_rules_counted_are_left_out(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    worker.settings["WORDCOUNT_GRACE"] = "20s"
    await kafka.produce(
        workers.topic, lines(7, RECORDS), times=[one + HOUR_MS for one in times(0)], partition=0
    )
    await worker.start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    code, (zero, one) = verified(worker)
    assert code == 0
    assert (zero["begin"], zero["position"]) == (RECORDS, 2 * RECORDS)
    assert zero["counts"] > 0
    assert zero["left_out"] > 0
    assert (one["begin"], one["counts"]) == (0, verified(worker)[1][1]["counts"])
    done = wordcount(worker, "verify", "--windows")
    assert (
        f"; {zero['left_out']:,} windows are left out, because former rules counted a part of them\n"
        in done.stdout
    )


async def test_without_windows_there_are_none_to_verify(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, 1)
    await kafka.produce(workers.topic, lines(0, 20))
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    code, (windows,) = verified(worker)
    assert code == 3
    assert windows["impossible"].startswith("no windows are counted")
    assert wordcount(worker, "verify").returncode == 0
