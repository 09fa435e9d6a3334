"""A view beside a real broker: what it answers, how it waits, ends and goes on, and what it says when it cannot follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.exit_codes import EXIT_FAILED
from tables.model.names import changelog_topic
from tests.integration.operator_tools import extend_topic
from tests.integration.worker import (
    DEADLINE_S,
    Worker,
    counts_of,
    lines,
    recount,
    wait_counted,
    wait_for,
)

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

PARTITIONS = 3
STOP_S = 10.0
"""Most seconds that the end of an idle view takes on two busy cores."""


async def counted(kafka: KafkaClient, workers: Workers, partitions: int = PARTITIONS) -> Worker:
    """Return a worker that has counted 500 lines of each of the topic's partitions."""
    await kafka.create_topic(workers.topic, partitions)
    for partition in range(partitions):
        await kafka.produce(workers.topic, lines(partition, 500), partition=partition)
    worker = await workers().start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)
    return worker


async def checks(view: Worker) -> Mapping[str, Any]:
    """Return the checks of /readyz by name; none while no process listens."""
    if await view.status("/readyz") is None:
        return {}
    found: Mapping[str, Any] = (await view.get("/readyz")).json()["checks"]
    return found


async def says(view: Worker, check: str, text: str) -> None:
    """Wait until a check of /readyz fails with `text` in its detail."""

    async def said() -> bool:
        found = (await checks(view)).get(check)
        return found is not None and not found["ok"] and text in found["detail"]

    try:
        await wait_for(said, f"{check} says {text}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it says {await checks(view)}") from None


async def answers_the_same_for_a_while(view: Worker) -> None:
    """Wait until ten answers in a row have the same tag, each asked for when the view has read the changelog again."""
    tags: list[str] = []

    async def same() -> bool:
        tags.append((await view.get("/v1/stats")).headers["etag"])
        return len(tags) >= 10 and len(set(tags[-10:])) == 1

    try:
        await wait_for(same, "a view that has read everything answers the same")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is behind by {(await view.stats())['behind']}") from None


async def test_a_view_answers_what_a_worker_counts_also_without_the_worker(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    view = await workers(entry="view", ingest="true").start().wait_ready()
    truth = await recount(workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker, view]) == truth
    for process, why in ((worker, "WORDCOUNT_INGEST is false"), (view, "a view takes no texts")):
        refused = await process.post("/v1/texts", b"a text")
        assert (refused.status_code, why in refused.json()["detail"]) == (403, True)
    async with kafka.endless_lines(workers.topic):
        for _ in range(20):
            position = (await view.stats())["as_of"]

            async def moved(since: Mapping[str, int] = position) -> bool:
                now = (await view.stats())["as_of"]
                assert all(now[number] >= offset for number, offset in since.items())
                return sum(now.values()) > sum(since.values())

            await wait_for(moved, "the view moves while the worker counts")
    await wait_counted([worker, view], workers.bootstrap_servers, workers.topic)
    truth = await recount(workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker, view]) == truth
    await answers_the_same_for_a_while(view)
    for partition in (await view.stats())["partitions"].values():
        assert (partition["state"], partition["lag_records"]) == ("following", None)

    word = max(truth, key=lambda each: truth[each])
    answer = await view.json(f"/v1/words/{word}")
    assert (answer["count"], answer["complete"]) == (truth[word], True)
    assert answer["served_by"] == {str(number): "view" for number in range(PARTITIONS)}
    assert answer["behind"].keys() == answer["served_by"].keys()
    top = await view.json("/v1/top", k=3, exact="true")
    assert [one["count"] for one in top["words"]] == sorted(truth.values(), reverse=True)[:3]
    found = await checks(view)
    assert all(found[name]["ok"] for name in ("broker", "assignment", "restored", "draining"))
    metrics = await view.metrics()
    for number in range(PARTITIONS):
        assert metrics[f'wordcount_follower_restored_ratio{{partition="{number}"}}'] == 1
        assert metrics[f'wordcount_follower_stopped{{partition="{number}"}}'] == 0

    assert (await worker.stop())[0] == 0
    assert await counts_of([view]) == truth


async def test_an_answer_that_may_lack_no_records_waits_for_the_worker(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers)
    view = await workers(entry="view").start().wait_ready()

    async def newest() -> bool:
        return (await view.get("/v1/stats", max_lag_records=0)).status_code == 200

    await wait_for(newest, "the view has all records")
    await worker.stop()
    await kafka.produce(workers.topic, [b"late"] * 7, partition=1)
    refused = await view.get("/v1/words/late", max_lag_records=6)
    assert refused.status_code == 503
    assert refused.json()["reasons"] == {"1": "its follower lags by 7 records"}
    assert (await view.get("/v1/words/late", max_lag_records=7)).status_code == 404
    assert (await view.get("/v1/words/late")).status_code == 404
    await worker.start().wait_ready()
    await wait_counted([view], workers.bootstrap_servers, workers.topic)
    assert (await view.json("/v1/words/late", max_lag_records=0))["count"] == 7


async def test_a_view_ends_soon_and_goes_on_from_its_store(kafka: KafkaClient, workers: Workers) -> None:
    worker = await counted(kafka, workers)
    view = await workers(entry="view").start().wait_ready()
    truth = await recount(workers.bootstrap_servers, workers.topic)
    code, seconds = await view.stop()
    assert code == 0, view.log
    assert seconds < STOP_S
    for end in ("after its end", "after kill -9"):
        await view.start().wait_ready()
        assert await counts_of([view]) == truth, end
        await view.kill()
    await kafka.produce(workers.topic, lines(99, 500))
    await view.start().wait_ready()
    await wait_counted([worker, view], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker, view]) == await recount(workers.bootstrap_servers, workers.topic)
    assert "Traceback" not in view.log


async def test_a_state_folder_has_one_view(kafka: KafkaClient, workers: Workers) -> None:
    await counted(kafka, workers)
    view = await workers(entry="view").start().wait_ready()
    second = workers(entry="view", state_dir=view.state_dir).start()
    assert await second.ended() == EXIT_FAILED
    assert f"the state folder {view.state_dir} is in use by process {view.pid}" in second.log
    assert "Traceback" not in second.log
    assert await view.status("/readyz") == 200


async def test_a_view_waits_for_the_topic_and_for_the_changelog(kafka: KafkaClient, workers: Workers) -> None:
    view = workers(entry="view").start()
    await says(view, "assignment", f"there is no topic {workers.topic}")
    assert (await view.get("/v1/stats")).status_code == 503
    assert view.log.count("waits for the input topic") == 1
    await kafka.create_topic(workers.topic, PARTITIONS)
    await says(view, "restored", f"there is no topic {changelog_topic(workers.group, workers.topic)}")

    async def is_told_of_each_partition() -> bool:
        refused = await view.get("/v1/stats")
        assert refused.status_code == 503
        return refused.json().get("reasons") == dict.fromkeys("012", "its follower waits for the changelog")

    await wait_for(is_told_of_each_partition, "questions are told what each partition waits for")
    await kafka.produce(workers.topic, lines(1, 300), partition=1)
    worker = await workers().start().wait_ready()
    await view.wait_ready()
    await wait_counted([worker, view], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker, view]) == await recount(workers.bootstrap_servers, workers.topic)


async def test_a_view_of_a_group_that_counts_nothing_says_so_and_ends_soon(
    kafka: KafkaClient, workers: Workers
) -> None:
    await counted(kafka, workers)
    view = workers(entry="view", group="wrong").start()
    await says(view, "restored", f"there is no topic {changelog_topic('wrong', workers.topic)}")
    code, seconds = await view.stop()
    assert code == 0, view.log
    assert seconds < STOP_S


async def test_a_view_follows_partitions_that_the_topic_gets_later(
    kafka: KafkaClient, workers: Workers
) -> None:
    worker = await counted(kafka, workers, 2)
    view = await workers(entry="view").start().wait_ready()
    await extend_topic(workers.bootstrap_servers, workers.topic, 4)
    await kafka.produce(workers.topic, lines(7, 200), partition=3)
    await wait_counted([worker, view], workers.bootstrap_servers, workers.topic)
    assert await counts_of([worker, view]) == await recount(workers.bootstrap_servers, workers.topic)
    assert (await checks(view))["assignment"]["detail"] == "4 of 4 partitions are followed"


async def test_a_view_ends_soon_while_no_broker_answers(workers: Workers) -> None:
    view = workers(entry="view", bootstrap_servers="127.0.0.1:1").start()
    await says(view, "assignment", "no answer about topic")
    code, seconds = await view.stop(DEADLINE_S)
    assert code == 0, view.log
    assert seconds < STOP_S
