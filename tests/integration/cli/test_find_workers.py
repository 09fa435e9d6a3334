"""Commands find the workers of the group through Kafka, and ask another one where one does not answer."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from functools import partial
from typing import TYPE_CHECKING

from app.exit_codes import EXIT_INTERRUPTED
from tests.integration.commands import examine
from tests.integration.worker import DEADLINE_S, lines, recount, wait_counted, wait_for

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
    pair = await two_workers(workers, kafka, session_timeout_ms=60_000, standbys=0)
    truth = await recount(kafka.bootstrap_servers, workers.topic)
    assert json.loads(run("get", "--json", "w1").stdout)["count"] == truth["w1"]
    words = json.loads(run("top", "--json", "-k", "3").stdout)["words"]
    assert [word["count"] for word in words] == [count for _, count in truth.most_common(3)]

    for worker in pair:

        async def knows_its_address(worker: Worker = worker) -> bool:
            found = (await worker.json("/readyz"))["checks"]["address"]
            return bool(found["detail"] == f"http://127.0.0.1:{worker.port} leads here")

        await wait_for(knows_its_address, f"{worker.name} finds itself")
    title = f"workers of group {workers.group}"
    checks = examine(wordcount, code=0, group=workers.group)
    assert checks[title]["detail"].startswith("2 answer where they say, version ")

    await pair[0].kill()
    found = examine(wordcount, code=0, group=workers.group)[title]
    assert found["status"] == "warn"
    assert f"no worker answers at http://127.0.0.1:{pair[0].port} (" in found["detail"]
    for _ in range(3):
        partial = json.loads(run("get", "--json", "--allow-partial", "w1").stdout)
        assert len(partial["missing_partitions"]) == PARTITIONS / 2
    refused = run("get", "w1")
    assert (refused.returncode, refused.stdout) == (1, b"")
    said = refused.stderr.decode()
    assert said.startswith(f"wordcount: none of the 2 workers of group {workers.group} answers: ")
    assert f"no worker answers at http://127.0.0.1:{pair[0].port} (" in said
    assert f"the worker at http://127.0.0.1:{pair[1].port} cannot answer now: no answer for partition" in said


async def test_a_watch_goes_on_with_another_worker_when_the_one_that_answered_is_killed(
    kafka: KafkaClient, workers: Workers, wordcount: Wordcount
) -> None:
    pair = await two_workers(workers, kafka)
    urls = {f"http://127.0.0.1:{worker.port}": worker for worker in pair}
    wordcount.environment["WORDCOUNT_GROUP"] = workers.group
    watching = wordcount.start("top", "--watch", "--interval", "0.2")
    out = watching.stdout
    assert out is not None

    async def answered_by_other_than(former: str) -> str:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                line = (await asyncio.to_thread(out.readline)).decode().rstrip("\n")
                url = line.rpartition("; answered by ")[2]
                if url in urls and url != former:
                    # Whoever takes a partition over knows its end only after a first fetch.
                    assert re.search(
                        r"; complete: 4 of 4 partitions; records not counted yet: (0|not known); ", line
                    )
                    return url

    try:
        first = await answered_by_other_than("")
        await urls[first].kill()
        await answered_by_other_than(first)
        watching.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(watching.wait, DEADLINE_S) == EXIT_INTERRUPTED
    finally:
        watching.kill()
        watching.communicate()


async def test_workers_whose_advertised_addresses_are_exchanged_say_so_and_are_not_ready(
    kafka: KafkaClient, workers: Workers, wordcount: Wordcount
) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS)
    first, second = workers(), workers()
    first.start(WORDCOUNT_ADVERTISED_URL=f"http://127.0.0.1:{second.port}")
    second.start(WORDCOUNT_ADVERTISED_URL=f"http://127.0.0.1:{first.port}")
    for worker, other in ((first, second), (second, first)):
        said = f"another worker of this deployment answers at http://127.0.0.1:{other.port}; set WORDCOUNT_ADVERTISED_URL"

        async def says_so(worker: Worker = worker, said: str = said) -> bool:
            if await worker.status("/readyz") != 503:
                return False
            check = (await worker.get("/readyz")).json()["checks"].get("address", {"detail": ""})
            return check["detail"].startswith(said) and not check["ok"]

        await wait_for(says_so, f"{worker.name} is not ready")
        told = [
            line
            for line in worker.log.splitlines()
            if "does not lead to this worker" in line and said in line
        ]
        assert len(told) == 1


async def test_workers_that_advertise_one_address_say_so_and_give_no_wrong_answer(
    kafka: KafkaClient, workers: Workers, wordcount: Wordcount
) -> None:
    await kafka.create_topic(workers.topic, PARTITIONS)
    for partition in range(PARTITIONS):
        await kafka.produce(workers.topic, [b"word"], partition=partition)
    pair = workers(standbys=0), workers(standbys=0)
    url = f"http://127.0.0.1:{pair[0].port}"
    said = f"2 workers of the group advertise {url}"
    for worker in pair:
        worker.start(WORDCOUNT_ADVERTISED_URL=url)
    for worker in pair:

        async def says_so(worker: Worker = worker) -> bool:
            if await worker.status("/readyz") != 503:
                return False
            check = (await worker.get("/readyz")).json()["checks"]["address"]
            told = [line for line in worker.log.splitlines() if said in line]
            return check["detail"].startswith(said) and len(told) == 1

        await wait_for(says_so, f"{worker.name} is not ready and says once why")

    async def second_answers() -> bool:
        answer = await pair[1].get("/v1/words/word")
        return answer.status_code == 200 and answer.json()["count"] == PARTITIONS

    await wait_for(second_answers, "the second worker reaches the first one at the address of both")
    refused = await pair[0].get("/v1/words/word")
    assert refused.status_code == 503
    assert set(refused.json()["reasons"].values()) == {"it is not here"}
    examined = await asyncio.to_thread(partial(examine, wordcount, group=workers.group))
    check = examined[f"workers of group {workers.group}"]
    assert (check["status"], said.replace(" of the group", "") in check["detail"]) == ("fail", True)
