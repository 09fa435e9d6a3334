"""Missing rights: a worker or command that lacks a right ends with exit code 2 and one line with the remedy, and loses no count."""

from __future__ import annotations

import re
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from app.config.loading import load_settings
from app.exit_codes import EXIT_NOT_COMPARED
from app.kafka.access import needed_rights
from tables.kafka.rights import Right
from tables.model.names import changelog_topic, dead_letter_topic
from tests.integration.commands import Wordcount
from tests.integration.conftest import KafkaClient, Workers
from tests.integration.operator_tools import extend_topic, wordcount
from tests.integration.secured import PRINCIPAL
from tests.integration.worker import counts_of, lines, recount, wait_counted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path
    from subprocess import CompletedProcess

    from tests.integration.secured import SecuredBroker
    from tests.integration.worker import Worker

TOPIC, GROUP = "rights", "limited-group"
CHANGELOG, LETTERS = changelog_topic(GROUP, TOPIC), dead_letter_topic(GROUP, TOPIC)
READ_INPUT = Right("Read", "topic", TOPIC)
READ_CHANGELOG, WRITE_CHANGELOG = Right("Read", "topic", CHANGELOG), Right("Write", "topic", CHANGELOG)
WRITE_LETTERS = Right("Write", "topic", LETTERS)
JOIN = Right("Read", "group", GROUP)
WORKER = [READ_INPUT, READ_CHANGELOG, WRITE_CHANGELOG, WRITE_LETTERS, JOIN]
"""Exactly the rights that a worker needs if its topics exist."""

NAMES = {
    "input": [READ_INPUT],
    "changelog read": [READ_CHANGELOG],
    "changelog write": [WRITE_CHANGELOG],
    "changelog": [READ_CHANGELOG, WRITE_CHANGELOG],
    "dead letters": [WRITE_LETTERS],
    "group": [JOIN],
    "all writes": [WRITE_CHANGELOG, WRITE_LETTERS],
    "all topics": [READ_INPUT, READ_CHANGELOG, WRITE_CHANGELOG, WRITE_LETTERS],
    "all": WORKER,
}


class Limited:
    """A worker whose user has exactly the rights that a worker needs, until a test takes a right away."""

    def __init__(self, secured: SecuredBroker, worker: Worker) -> None:
        self.secured = secured
        self.worker = worker
        self.kafka = KafkaClient(secured.open_servers)

    async def running(self) -> Worker:
        if not self.worker.is_running():
            self.worker.start()
        return await self.worker.wait_ready()

    async def counts_all(self) -> None:
        """Wait until every record is counted, and check that each was counted once."""
        worker = await self.running()
        await wait_counted([worker], self.secured.open_servers, TOPIC)
        assert await counts_of([worker]) == await recount(self.secured.open_servers, TOPIC)


@pytest.fixture(scope="module")
def topics(secured: SecuredBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    folder = tmp_path_factory.mktemp("rights")
    workers = Workers(folder, secured.open_servers, TOPIC)
    made = workers(group=GROUP)
    created = wordcount(made, "topics", "create", WORDCOUNT_PARTITIONS="2")
    assert created.returncode == 0, created
    made.settings |= {
        f"WORDCOUNT_{name.upper()}": str(value) for name, value in secured.sasl(on_null="dead_letter").items()
    }
    made.log_path.touch()
    yield Limited(secured, made)
    if made.is_running():
        made.signal(signal.SIGKILL)


@pytest.fixture
async def limited(topics: Limited) -> AsyncIterator[Limited]:
    """The worker, whose user has all needed rights when the test begins."""
    await topics.secured.grant(*WORKER)
    topics.worker.renew_client()
    yield topics
    print(topics.worker.log[-6000:])


def told(text: str) -> str:
    """Return the line for the operator, which must be the only one."""
    (line,) = [line for line in text.splitlines() if line.startswith("wordcount: ")]
    return line


def assert_names(line: str, missing: Sequence[Right], principal: str = PRINCIPAL) -> None:
    """Check that `line` names the principal, one of the missing rights and the command that grants this right."""
    named = [
        right
        for right in missing
        if f'{right.operation} on {right.kind} "{right.name}"' in line
        or f'Describe on {right.kind} "{right.name}"' in line
    ]
    assert line.startswith(f"wordcount: {principal} has no right to "), line
    assert named, line
    assert re.search(
        rf"kafka-acls\.sh --bootstrap-server \S+ --add --allow-principal {principal} "
        rf"--operation \w+ --{named[0].kind} {named[0].name}",
        line,
    ), line


@pytest.mark.parametrize("missing", NAMES)
async def test_a_worker_that_lacks_a_right_does_not_start(limited: Limited, missing: str) -> None:
    worker, rights = limited.worker, NAMES[missing]
    if worker.is_running():
        await worker.stop()
    shutil.rmtree(worker.state_dir, ignore_errors=True)
    await limited.secured.revoke(*rights)
    before = len(worker.log)
    worker.start()
    assert await worker.ended() == 2
    line = told(worker.log[before:])
    if "may not describe" not in line:
        assert_names(line, rights)


@pytest.mark.parametrize("missing", NAMES)
async def test_a_right_that_is_taken_away_ends_a_worker_and_costs_no_count(
    limited: Limited, missing: str
) -> None:
    worker, rights = await limited.running(), NAMES[missing]
    values = [*lines(len(missing), 50), None, *lines(len(missing) + 1, 50)]
    before = len(worker.log)
    await limited.secured.revoke(*rights)
    await limited.kafka.produce(TOPIC, values, keys=[b"%d" % number for number in range(len(values))])
    assert await worker.ended() == 2
    assert_names(told(worker.log[before:]), rights)
    await limited.secured.grant(*rights)
    await limited.counts_all()


class Granted:
    """Topic, group and folder of one test, and a user to whom the test grants the rights that a command needs."""

    def __init__(self, secured: SecuredBroker, command: Wordcount, folder: Path) -> None:
        self.secured = secured
        self.folder = folder
        self.command = command
        self.group = f"group-{command.topic}"
        command.environment |= {"WORDCOUNT_GROUP": self.group, "WORDCOUNT_STATE_DIR": str(folder / "state")}
        self.settings = load_settings(topic=command.topic, group=self.group)

    def run(self, arguments: str) -> CompletedProcess[bytes]:
        return self.command(*arguments.split(), stdin=b"a line\n", **self.limited)

    @property
    def limited(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.secured.sasl("SCRAM-SHA-256").items()}


@pytest.fixture
def granted(secured: SecuredBroker, topic_name: str, tmp_path: Path) -> Granted:
    return Granted(secured, Wordcount(secured.open_servers, topic_name, tmp_path), tmp_path)


COMMANDS = {
    "topics create": "topics create",
    "produce": "produce",
    "doctor": "doctor",
    "verify": "verify",
    "reset": "reset --yes",
    "rebuild": "rebuild",
}


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_works_with_exactly_the_rights_of_the_reference_and_without_any_names_one(
    granted: Granted, command: str
) -> None:
    assert granted.command("topics", "create", partitions="1").returncode == 0
    assert granted.command("produce", stdin=b"a line\n").returncode == 0
    assert granted.command("reset", "--yes").returncode == 0  # so that a command has a marker to read
    (granted.folder / "state" / changelog_topic(granted.group, granted.command.topic) / "0").mkdir(
        parents=True
    )
    refused = granted.run(COMMANDS[command])
    if command == "doctor":
        assert refused.returncode == 1
        assert b"does not tell" not in refused.stdout
    else:
        assert refused.returncode == 2, refused
        assert_names(told(refused.stderr.decode()), needed_rights(granted.settings, command))

    rights = needed_rights(granted.settings, command)
    await granted.secured.grant(*rights)
    done = granted.run(COMMANDS[command])
    if command == "doctor":
        assert b"does not tell" not in done.stdout
        assert b"this user may not" not in done.stdout
    elif command == "verify":
        # The command could read both topics, and reports that no worker has counted the line.
        assert (done.returncode, b"nothing is counted yet" in done.stdout) == (EXIT_NOT_COMPARED, True), done
    else:
        assert done.returncode == 0, done


async def test_old_lines_are_sent_by_a_user_who_may_not_read_the_retention(granted: Granted) -> None:
    assert granted.command("topics", "create", partitions="1").returncode == 0
    await granted.secured.grant(Right("Write", "topic", granted.command.topic))
    done = granted.command("produce", "--timestamps", "1", stdin=b"5\ttext\n", **granted.limited)
    assert (done.returncode, done.stderr) == (0, b""), done


async def test_a_worker_with_the_right_to_create_and_alter_needs_no_operator(
    granted: Granted, secured_workers: Workers, topic_name: str
) -> None:
    names = (
        topic_name,
        changelog_topic(granted.group, topic_name),
        dead_letter_topic(granted.group, topic_name),
    )
    await granted.secured.grant(
        *(right for right in needed_rights(granted.settings, "worker") if right.operation != "Describe"),
        *(Right("Create", "topic", name) for name in names),
        Right("Alter", "topic", names[1]),
    )
    made = secured_workers(group=granted.group, partitions=1, **granted.secured.sasl("SCRAM-SHA-512"))
    await made.start().wait_ready()
    await extend_topic(granted.secured.open_servers, topic_name, 2)
    kafka = KafkaClient(granted.secured.open_servers)
    await kafka.produce(topic_name, lines(1, 10), partition=0)
    await kafka.produce(topic_name, lines(2, 10), partition=1)
    await wait_counted([made], granted.secured.open_servers, topic_name)
    assert await counts_of([made]) == await recount(granted.secured.open_servers, topic_name)
