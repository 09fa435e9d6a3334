"""After a failure counting goes on within seconds; what can never go on ends the process with one line that says why."""

from __future__ import annotations

import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from app.local.embedded import EmbeddedBroker
from tables.model.names import changelog_topic
from tests.integration.conftest import KafkaClient, Workers, close_all
from tests.integration.operator_tools import delete_topic
from tests.integration.worker import Worker, end_offsets, free_port, lines, wait_counted

SESSION_TIMEOUT_S = 2.5
PASSWORD = "a password of this test"
# CreateAcls as the protocol numbers it.
GROUP_RESOURCE, LITERAL, READ, DENY = 3, 3, 3, 2


async def end_of(worker: Worker, timeout_s: float = 30) -> tuple[int, str]:
    """Exit code, and the last line for the operator."""
    code = await worker.ended(timeout_s)
    said = [line for line in worker.log.splitlines() if line.startswith("wordcount: ")]
    return code, said[-1] if said else ""


async def test_after_a_kill_the_partitions_count_again_within_session_timeout_and_5_s(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 8)
    first, second = workers(), workers()
    await first.start().wait_ready()
    await second.start().wait_ready()
    await kafka.produce(workers.topic, lines(1, 400))
    await wait_counted([first, second], workers.bootstrap_servers, workers.topic)
    assert len(await second.partitions()) == len(await first.partitions()) == 4

    await second.kill()
    killed_at = time.monotonic()
    await kafka.produce(workers.topic, lines(2, 400))
    await wait_counted([first], workers.bootstrap_servers, workers.topic)
    assert time.monotonic() - killed_at < SESSION_TIMEOUT_S + 5


async def test_when_the_broker_is_back_after_a_kill_counting_goes_on_within_15_s(
    tmp_path: Path, topic_name: str
) -> None:
    with EmbeddedBroker(tmp_path / "broker") as broker:
        workers = Workers(tmp_path, broker.bootstrap_servers, topic_name)
        worker = await workers(partitions=4).start().wait_ready()
        kafka = KafkaClient(broker.bootstrap_servers)
        await kafka.produce(topic_name, lines(1, 400))
        await wait_counted([worker], broker.bootstrap_servers, topic_name)

        broker.kill()
        broker.start()
        back_at = time.monotonic()
        await kafka.produce(topic_name, lines(2, 400))
        ends = await end_offsets(broker.bootstrap_servers, topic_name)
        assert sum(ends.values()) == 800
        await wait_counted([worker], broker.bootstrap_servers, topic_name)
        assert time.monotonic() - back_at < 15
        await close_all(workers.made)


async def test_a_worker_that_may_not_join_its_group_ends_with_the_right_that_it_lacks(
    tmp_path: Path, topic_name: str
) -> None:
    host, plain, sasl, controller = "127.0.0.1", free_port(), free_port(), free_port()
    settings = {
        "listeners": f"PLAINTEXT://{host}:{plain},SASL://{host}:{sasl},CONTROLLER://{host}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{host}:{plain},SASL://{host}:{sasl}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": f"1@{host}:{controller}",
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
        f'required user_alice="{PASSWORD}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "true",
    }
    with EmbeddedBroker(tmp_path / "broker", port=plain, settings=settings) as broker:
        workers = Workers(tmp_path, f"{host}:{sasl}", topic_name)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        answer = await admin._send_request(
            CreateAclsRequest(GROUP_RESOURCE, workers.group, LITERAL, "User:alice", "*", READ, DENY)
        )
        await admin.close()
        assert [error_code for error_code, _ in answer.creation_responses] == [0]

        worker = workers(
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_username="alice",
            sasl_password=PASSWORD,
        ).start()
        code, said = await end_of(worker)
        assert code == 2
        assert f'User:alice has no right to Read on group "{workers.group}"' in said
        assert f"--operation Read --group {workers.group}" in said
        await close_all(workers.made)


async def test_a_worker_in_a_group_of_other_programs_ends_and_says_so(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 2)
    stranger = AIOKafkaConsumer(
        workers.topic, bootstrap_servers=workers.bootstrap_servers, group_id=workers.group
    )
    async with stranger:
        code, said = await end_of(workers().start())
    assert code == 2
    assert f"group {workers.group} has members that are no Wordcount workers" in said
    assert "WORDCOUNT_GROUP" in said


async def test_a_worker_whose_topic_is_deleted_ends_and_says_so(kafka: KafkaClient, workers: Workers) -> None:
    await kafka.create_topic(workers.topic, 2)
    await kafka.produce(workers.topic, lines(1, 50))
    worker = await workers(stall_timeout_s=5).start().wait_ready()
    await wait_counted([worker], workers.bootstrap_servers, workers.topic)

    await delete_topic(workers.bootstrap_servers, workers.topic)
    code, said = await end_of(worker)
    assert code == 2
    assert f"topic {workers.topic} does not exist any more" in said


async def test_a_worker_that_cannot_open_a_store_ends_and_says_so(
    kafka: KafkaClient, workers: Workers
) -> None:
    await kafka.create_topic(workers.topic, 2)
    worker = workers()
    store = worker.state_dir / changelog_topic(workers.group, workers.topic) / "0"
    store.parent.mkdir(parents=True)
    store.write_text("a file where a folder has to be")

    code, said = await end_of(worker.start())
    assert code == 1
    assert f"the store {store} cannot be used" in said
