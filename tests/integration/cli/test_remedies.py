"""The commands `wordcount verify`, `reset` and `rebuild` on a real broker, run as an operator runs them."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition

from app.config.loading import load_settings
from app.kafka.clients import records
from app.operate import compared_topics, remedies, verification
from tables.errors import ConfigurationError
from tables.model.names import MARKER_KEY, changelog_topic
from tables.model.rows import Marker, encode_marker
from tests.fakes.rows import pack_row
from tests.integration.operator_tools import append, delete_topic, wordcount
from tests.integration.worker import Worker, counts_of, lines, wait_counted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 3
MIXED = [b"one two", None, b"caf\xe9 two", b'{"text": "three"}', b"", b"x" * 40, b"one,two"]
SETTINGS: list[dict[str, object]] = [
    {},
    {"profile": "unicode", "stop_words": "one", "on_null": "dead_letter", "on_invalid_utf8": "skip"},
    {"profile": "java-s", "on_empty_word": "skip", "max_word_bytes": 32, "on_oversized_word": "dead_letter"},
    {"value_format": "json", "json_pointer": "/text", "on_null": "count", "on_invalid_json": "skip"},
]


async def counted(kafka: KafkaClient, workers: Workers, **settings: object) -> Worker:
    """Return a running worker that has counted some hundred lines and some records that are not plain text."""
    await kafka.create_topic(workers.topic, PARTITIONS)
    for partition in range(PARTITIONS):
        values = [*lines(partition, 200), *MIXED]
        await kafka.produce(workers.topic, values, keys=itertools.repeat(b"key"), partition=partition)
    worker = await workers(**settings).start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    return worker


def verified(worker: Worker, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code and the parsed JSON of `wordcount verify`."""
    done = wordcount(worker, "verify", "--json", *arguments)
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(settings) or "defaults")
async def test_right_counts_are_verified_under_every_policy(
    settings: dict[str, object], kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers, **settings)
    code, partitions = verified(worker)
    assert code == 0
    stats = await worker.stats()
    assert sum(partition["records"] for partition in partitions) == stats["records"] == 621
    assert sum(partition["occurrences"] for partition in partitions) == stats["words"]
    assert {str(partition["partition"]): partition["position"] for partition in partitions} == stats["as_of"]
    assert [partition["differences"] for partition in partitions] == [[], [], []]
    done = wordcount(worker, "verify")
    assert done.stdout.count(" are right\n") == 3
    assert (
        f"every count that could be compared is right: {stats['words']:,} words in 621 records" in done.stdout
    )


async def test_counts_are_verified_while_workers_go_on_counting(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    async with kafka.endless_lines(workers.topic):
        positions = []
        for _ in range(3):
            code, partitions = await asyncio.to_thread(verified, worker)
            assert (code, [p["impossible"] + p["totals"] for p in partitions]) == (0, ["", "", ""])
            positions.append(sum(partition["position"] for partition in partitions))
    assert positions[0] < positions[1] < positions[2]


async def test_every_wrong_count_is_named(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    changelog = changelog_topic(workers.group, workers.topic)
    before = {p["partition"]: p for p in verified(worker)[1]}
    position = before[1]["position"]
    await append(workers.bootstrap_servers, changelog, 1, b"one", pack_row(7, position))
    await append(workers.bootstrap_servers, changelog, 1, b"ghost\nforged line", pack_row(1, position))
    await append(workers.bootstrap_servers, changelog, 2, b"two", pack_row(99, position - 1))  # an older row

    code, partitions = verified(worker)
    assert code == 1
    assert [partition["differences"] for partition in partitions] == [
        [],
        [
            {"word": "ghost\nforged line", "counted": 1, "recounted": 0},
            {"word": "one", "counted": 7, "recounted": 1},
        ],
        [],
    ]
    done = wordcount(worker, "verify")
    assert done.returncode == 1
    assert "  'ghost\\nforged line': counted 1, recount 0\n" in done.stdout
    assert "2 counts differ in 1 partitions" in done.stdout
    assert [verified(worker, "--word", word)[0] for word in ("one", "two", "never")] == [1, 0, 0]
    _, one = verified(worker, "--word", "one")
    assert [(p["words"], len(p["differences"])) for p in one] == [(1, 0), (1, 1), (1, 0)]


async def test_a_word_is_looked_up_as_the_profile_reads_it(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers, profile="unicode")
    _, partitions = verified(worker, "--word", "ONE")
    assert [partition["words"] for partition in partitions] == [1, 1, 1]


async def test_verification_with_another_profile_is_impossible_and_says_which(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    done = wordcount(worker, "verify", WORDCOUNT_PROFILE="java-s")
    assert done.returncode == 3
    assert done.stdout.count("was counted with profile whitespace/1, now configured: java-s/1") == 3
    assert "; 3 partitions cannot be verified" in done.stdout


async def test_there_is_nothing_to_verify_without_topics(workers: Workers) -> None:
    done = wordcount(workers(), "verify")
    assert (done.returncode, done.stdout) == (2, "")
    assert f'there is no topic "{workers.topic}"' in done.stderr


async def test_records_that_nobody_counted_are_not_called_right(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS)
    await kafka.produce(workers.topic, lines(0, 20), keys=itertools.repeat(b"key"), partition=1)
    idle = workers()
    assert wordcount(idle, "topics", "create").returncode == 0
    done = wordcount(idle, "verify")
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "partition 0: empty, nothing to compare",
        "partition 1: cannot be verified: nothing is counted yet, and offsets 0 to 20 (exclusive) wait",
        "partition 2: empty, nothing to compare",
        "nothing could be compared; 1 partitions cannot be verified: 0 words in 0 records counted again",
    ]


async def test_a_partition_that_cannot_be_decoded_is_named_and_the_others_are_compared(
    kafka: KafkaClient, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await counted(kafka, workers)

    async def undecodable(consumer: Any, tp: TopicPartition, start: int, end: int) -> AsyncIterator[Any]:
        async for record in records(consumer, tp, start, end):
            if tp.partition == 1 and record[0] == 50:
                raise AttributeError("no such format")
            yield record

    monkeypatch.setattr(compared_topics, "records", undecodable)
    for name, value in worker.settings.items():
        monkeypatch.setenv(name, value)
    found = [partition async for partition in verification.verify(load_settings())]
    assert [(one.partition, bool(one.words), one.differs, one.impossible) for one in found] == [
        (0, True, False, ""),
        (1, False, False, "the partition cannot be read (AttributeError('no such format'))"),
        (2, True, False, ""),
    ]


async def test_reset_counts_again_what_the_input_has_and_can_be_repeated(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers, profile="unicode")
    await worker.stop()
    changelog = changelog_topic(workers.group, workers.topic)

    planned = wordcount(worker, "reset")
    assert planned.returncode == 2
    assert f"would delete topic {changelog}\n" in planned.stdout
    assert "add --yes" in planned.stdout
    assert (worker.state_dir / changelog).is_dir()

    # The reset leaves nothing of the former profile, so the worker may count under another profile.
    worker.settings["WORDCOUNT_PROFILE"] = "whitespace"
    for _ in range(2):
        done = wordcount(worker, "reset", "--yes")
        assert done.returncode == 0, done.stderr
        assert f"topic {changelog} deleted" in done.stdout
        assert not (worker.state_dir / changelog).exists()
    assert len(await kafka.read_all(changelog)) == PARTITIONS
    await worker.start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert (await worker.metrics_of(621))["wordcount_records_read_total"] == 621
    assert verified(worker)[0] == 0


async def test_reset_after_everything_was_deleted_by_hand(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    await delete_topic(workers.bootstrap_servers, changelog_topic(workers.group, workers.topic))
    done = wordcount(worker, "reset", "--yes")
    assert (done.returncode, "did not exist" in done.stdout) == (0, True), done.stderr


async def test_counts_of_another_topic_are_never_reset(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    changelog = changelog_topic(workers.group, workers.topic)
    for partition in range(PARTITIONS):
        marker = encode_marker(Marker(topic="another", profile="p", origin=0, position=9))
        await append(workers.bootstrap_servers, changelog, partition, MARKER_KEY, marker)
    before = await kafka.read_all(changelog)
    for flags in ((), ("--yes",)):
        refused = wordcount(worker, "reset", *flags)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert (
            f"{changelog}: the changelog holds counts of topic another, not only of {workers.topic}"
            in refused.stderr
        )
    assert await kafka.read_all(changelog) == before
    assert (worker.state_dir / changelog).is_dir()


async def test_a_folder_that_cannot_be_deleted_is_no_folder_deleted(
    kafka: KafkaClient, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    changelog = changelog_topic(workers.group, workers.topic)
    for name, value in worker.settings.items():
        monkeypatch.setenv(name, value)

    def refuse(path: object, **_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", f"{path}/0")

    monkeypatch.setattr(remedies.shutil, "rmtree", refuse)
    before = await kafka.read_all(changelog)
    with pytest.raises(
        ConfigurationError, match=r"0 cannot be deleted \(Operation not permitted\); let this user"
    ):
        await remedies.reset_counts(load_settings())
    # The reset has deleted nothing, so that the operator can repeat the whole reset.
    assert await kafka.read_all(changelog) == before


async def test_no_store_is_thrown_away_under_a_running_worker(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    before = await counts_of([worker])
    refused = wordcount(worker, "rebuild")
    assert refused.returncode == 1
    assert f"is in use by process {worker.pid}" in refused.stderr
    assert await counts_of([worker]) == before


async def test_reset_is_refused_while_the_group_has_members_and_names_them(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    for flags in ((), ("--yes",)):
        refused = wordcount(workers(), "reset", *flags)
        assert refused.returncode == 2
        assert f"group {workers.group} has 1 members: wordcount" in refused.stderr
        assert "at 127.0.0.1" in refused.stderr
    assert verified(worker)[0] == 0


async def test_rebuild_throws_stores_away_and_the_changelog_brings_them_back(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    before = await counts_of([worker])
    await worker.stop()
    stores = worker.state_dir / changelog_topic(workers.group, workers.topic)
    one = wordcount(worker, "rebuild", "--partition", "1")
    assert (one.returncode, one.stdout.count("thrown away")) == (0, 1), one.stderr
    assert sorted(path.name for path in stores.iterdir() if path.is_dir()) == ["0", "2"]
    assert not (stores / "1.note").exists()
    again = wordcount(worker, "rebuild", "--partition", "1")
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    rest = wordcount(worker, "rebuild")
    assert (rest.returncode, rest.stdout.count("thrown away")) == (0, 2)

    await worker.start().wait_ready()
    assert (await worker.metrics())["wordcount_records_read_total"] == 0
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker]) == before
    assert verified(worker)[0] == 0


async def test_a_store_that_cannot_be_read_is_rebuilt_too(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    await worker.stop()
    stores = worker.state_dir / changelog_topic(workers.group, workers.topic)
    (stores / "0" / "CURRENT").write_bytes(b"nonsense")
    done = wordcount(worker, "rebuild")
    assert (done.returncode, done.stdout.count("thrown away")) == (0, PARTITIONS), done.stderr
    await worker.start().wait_ready()
    assert verified(worker)[0] == 0
