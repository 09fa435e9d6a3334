"""Commands find the workers of the group through Kafka, and ask another one where one does not answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.integration.worker import lines, recount, wait_counted

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.integration.commands import Wordcount
    from tests.integration.conftest import KafkaClient, Workers
    from tests.integration.worker import Worker

PARTITIONS = 4


async def two_workers(workers: Workers, kafka: KafkaClient, **settings: object) -> list[Worker]:
    """Two workers that have counted a topic together."""
    await kafka.create_topic(workers.topic, PARTITIONS)
    for partition in range(PARTITIONS):
        await kafka.produce(workers.topic, lines(partition, 50), partition=partition)
    pair = [workers(**settings).start() for _ in range(2)]
    for worker in pair:
        await worker.wait_ready()
    await wait_counted(pair, kafka.bootstrap_servers, workers.topic)
    return pair


async def test_commands_find_the_workers_of_the_group_and_ask_one_that_answers(
    kafka: KafkaClient, workers: Workers, wordcount: Wordcount
) -> None:
    def run(*arguments: str) -> CompletedProcess[bytes]:
        # The port of the settings is not known, so that no worker can be found by it.
        return wordcount(*arguments, group=workers.group)

    nobody = run("get", "w1")
    assert (nobody.returncode, nobody.stdout) == (2, b"")
    assert f"group {workers.group} has no members".encode() in nobody.stderr

    # A long session keeps a killed worker a member, so that commands find it and have to ask the other one.
    pair = await two_workers(workers, kafka, session_timeout_ms=30_000)
    truth = await recount(kafka.bootstrap_servers, workers.topic)
    assert json.loads(run("get", "--json", "w1").stdout)["count"] == truth["w1"]
    words = json.loads(run("top", "--json", "-k", "3").stdout)["words"]
    assert [word["count"] for word in words] == [count for _, count in truth.most_common(3)]

    await pair[0].kill()
    for _ in range(3):
        partial = json.loads(run("get", "--json", "--allow-partial", "w1").stdout)
        assert len(partial["missing_partitions"]) == PARTITIONS / 2
    refused = run("get", "w1")
    assert (refused.returncode, refused.stdout) == (1, b"")
    said = refused.stderr.decode()
    assert said.startswith(f"wordcount: none of the 2 workers of group {workers.group} answers: ")
    assert f"no worker answers at http://127.0.0.1:{pair[0].port} (" in said
    assert f"the worker at http://127.0.0.1:{pair[1].port} cannot answer now: no answer for partition" in said
