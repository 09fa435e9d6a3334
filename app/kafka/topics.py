"""The three topics of a consumer group: input, changelog and dead letters; what is missing, and what is wrong.

`plan` decides from what was found, without I/O; `ensure_topics` looks, acts and looks again until nothing is
left to do, so that several workers may do it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from aiokafka.errors import ClusterAuthorizationFailedError, InvalidReplicationFactorError, for_code

from app.kafka.admin import Admin, open_admin
from app.kafka.clients import rights_of
from tables.errors import BrokerUnavailableError, ConfigurationError
from tables.kafka.broker_errors import NO_ERROR, TOPIC_UNAUTHORIZED, UNKNOWN_TOPIC
from tables.kafka.rights import Right
from tables.kafka.topic_description import TopicDescription

if TYPE_CHECKING:
    from app.config.settings import Settings

SETTLE_TIMEOUT_S: Final = 30.0
"""Longest time until what was created has leaders."""

_POLL_S: Final = 0.05

# The cleaner leaves the newest segment alone, so segments are closed sooner than the default of 1 GiB or a
# week: a restore reads little that has been superseded. By the time of appending a record that was held up
# on its way waits as long for the cleaner as any other.
_CHANGELOG_CONFIG: Final = {
    "cleanup.policy": "compact",
    "compression.type": "producer",
    "message.timestamp.type": "LogAppendTime",
    "segment.bytes": "67108864",
    "segment.ms": "3600000",
}

# A broker refuses a letter of a worker whose clock is an hour ahead, unless it sets the time itself.
_DEAD_LETTERS_CONFIG: Final = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}

# Another worker does the same, a leader or controller is being elected: look again.
_PASSING: Final = {
    5: "LEADER_NOT_AVAILABLE",
    7: "REQUEST_TIMED_OUT",
    36: "TOPIC_ALREADY_EXISTS",
    37: "INVALID_PARTITIONS",
    41: "NOT_CONTROLLER",
    60: "REASSIGNMENT_IN_PROGRESS",
}
_DENIED: Final = {TOPIC_UNAUTHORIZED, ClusterAuthorizationFailedError.errno}


@dataclass(frozen=True, slots=True)
class Change:
    """What a topic needs.

    Attributes:
        topic: name.
        kind: whether it is missing or has too few partitions.
        partitions: how many it shall have.
        config: of a topic to create.
    """

    topic: str
    kind: Literal["create", "extend"]
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic that can be used, and how it came about."""

    name: str
    partitions: int
    came: Literal["existed", "created", "extended"]


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The topics of a group, all usable; the changelog has as many partitions as the input."""

    input: TopicState
    changelog: TopicState
    dead_letters: TopicState

    @property
    def partitions(self) -> int:
        """Partitions of the input topic."""
        return self.input.partitions


async def ensure_topics(settings: Settings) -> TopicReport:
    """Create or extend what is missing if `settings.create_topics`, and check the rest.

    Raises:
        BrokerUnavailableError: no broker answers within two time-outs of a request, or a new topic cannot be used after 30 s.
        ConfigurationError: something is missing and may not be created (names the commands that do it), the
            changelog has more partitions than the input or would lose counts by its `cleanup.policy`, or
            this user lacks a right.
    """
    topics = settings.topics
    async with open_admin(settings) as admin:
        states = await _settled(admin, settings, (topics.input, topics.changelog, topics.dead_letters))
        check_cleanup_policy(settings, await admin.topic_config(topics.changelog, "cleanup.policy"))
    return TopicReport(*states)


async def ensure_input_topic(settings: Settings) -> TopicState:
    """The same for the input topic alone: what a producer needs."""
    async with open_admin(settings) as admin:
        return (await _settled(admin, settings, (settings.topic,)))[0]


def plan(settings: Settings, found: Mapping[str, TopicDescription]) -> list[Change]:
    """What has to be done so that the topics in `found` can be used.

    Raises:
        ConfigurationError: a topic may not be described, or the changelog has more partitions than the input.
    """
    for name, metadata in found.items():
        if metadata.error_code == TOPIC_UNAUTHORIZED:
            raise rights_of(settings).error(Right("Describe", "topic", name))
    source = found[settings.topic]
    wanted = source.partitions or settings.partitions
    changelog = settings.topics.changelog
    if changelog in found and found[changelog].partitions > wanted:
        raise _too_many(settings, changelog, found[changelog].partitions, source.partitions)
    changes = []
    for name, metadata in found.items():
        if metadata.error_code == UNKNOWN_TOPIC:
            changes.append(Change(name, "create", wanted, topic_config(settings, name)))
        elif name == changelog and 0 < metadata.partitions < wanted:
            changes.append(Change(name, "extend", wanted, {}))
    return changes


def topic_config(settings: Settings, name: str) -> dict[str, str]:
    """Configuration of a topic that is created; the input topic gets the brokers' defaults."""
    if name == settings.topics.changelog:
        return {**_CHANGELOG_CONFIG, "min.compaction.lag.ms": str(settings.compaction_lag_ms)}
    return {} if name == settings.topic else dict(_DEAD_LETTERS_CONFIG)


def command(settings: Settings, change: Change) -> str:
    """The line for Kafka's own tool that makes a change."""
    words = ["kafka-topics.sh", "--bootstrap-server", settings.bootstrap_servers]
    words += ["--create" if change.kind == "create" else "--alter", "--topic", change.topic]
    words += ["--partitions", str(change.partitions)]
    if change.kind == "create" and settings.replication_factor > 0:
        words += ["--replication-factor", str(settings.replication_factor)]
    for key, value in change.config.items():
        words += ["--config", f"{key}={value}"]
    return " ".join(words)


def check_cleanup_policy(settings: Settings, policy: str | None) -> None:
    """Check the changelog's `cleanup.policy`; None = not known.

    Raises:
        ConfigurationError: it deletes by age or size, so counts of rare words would be lost.
    """
    if policy is None or policy.replace(" ", "") == "compact":
        return
    changelog = settings.topics.changelog
    raise ConfigurationError(
        f'changelog "{changelog}" has cleanup.policy={policy}, which deletes counts',
        f"run: kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter --entity-type topics "
        f"--entity-name {changelog} --add-config cleanup.policy=compact; if it was in use, then wordcount reset, "
        "which counts again what the input has now",
    )


async def _settled(admin: Admin, settings: Settings, names: Sequence[str]) -> list[TopicState]:
    """Look and act until every topic can be used.

    A topic that was there is used as it is: a partition without a leader waits for it, and the others do not. One that is new
    has none for a moment.
    """
    came: dict[str, Literal["created", "extended"]] = {}
    usable: set[str] | None = None
    deadline = asyncio.get_running_loop().time() + SETTLE_TIMEOUT_S
    while True:
        found = await admin.describe(*names)
        changes = plan(settings, found)
        if changes and not settings.create_topics:
            raise _not_allowed(settings, changes)
        for change in changes:
            if await _apply(admin, settings, change):
                came[change.topic] = "created" if change.kind == "create" else "extended"
        if usable is None:
            usable = {name for name in names if found[name].error_code == NO_ERROR and name not in came}
        waited_for = [name for name in names if not _can_be_used(found[name], was_there=name in usable)]
        if not changes and not waited_for:
            return [TopicState(name, found[name].partitions, came.get(name, "existed")) for name in names]
        if asyncio.get_running_loop().time() > deadline:
            raise _not_settled(found, waited_for)
        await asyncio.sleep(_POLL_S)


def _can_be_used(topic: TopicDescription, *, was_there: bool) -> bool:
    return topic.error_code == NO_ERROR and (was_there or not topic.leaderless)


def _not_settled(found: Mapping[str, TopicDescription], names: Sequence[str]) -> BrokerUnavailableError:
    def wrong(name: str) -> str:
        topic = found[name]
        if topic.error_code != NO_ERROR:
            return f'topic "{name}" cannot be used ({for_code(topic.error_code).__name__})'
        return f'topic "{name}" has partitions without a leader: {", ".join(map(str, topic.leaderless))}'

    return BrokerUnavailableError(
        f"after {SETTLE_TIMEOUT_S:.0f} s {', '.join(map(wrong, names))}",
        "start the brokers that hold their replicas",
    )


async def _apply(admin: Admin, settings: Settings, change: Change) -> bool:
    """Whether this process made the change; False = somebody else did, or look again."""
    if change.kind == "create":
        error_code, said = await admin.create_topic(
            change.topic, change.partitions, settings.replication_factor, change.config
        )
    else:
        error_code, said = await admin.extend_topic(change.topic, change.partitions)
    if error_code == NO_ERROR:
        return True
    if error_code in _PASSING:
        return False
    remedy = f"let an operator run: {command(settings, change)}"
    if error_code in _DENIED:
        said = "this user may not"
    if error_code == InvalidReplicationFactorError.errno:
        remedy = (
            f"WORDCOUNT_REPLICATION_FACTOR is {settings.replication_factor}; set it to what the brokers allow"
        )
    raise ConfigurationError(f'cannot {change.kind} topic "{change.topic}": {said.rstrip(".")}', remedy)


def _too_many(
    settings: Settings, changelog: str, partitions: int, source_partitions: int
) -> ConfigurationError:
    if source_partitions:
        return ConfigurationError(
            f'changelog "{changelog}" has {partitions} partitions, but input topic "{settings.topic}" has '
            f"{source_partitions}: it belongs to another topic of that name",
            "wordcount reset counts again what the input has now; or set another WORDCOUNT_GROUP",
        )
    return ConfigurationError(
        f'changelog "{changelog}" has {partitions} partitions, but input topic "{settings.topic}" does not '
        f"exist and WORDCOUNT_PARTITIONS is {settings.partitions}: the counts are of a topic that was deleted",
        "set WORDCOUNT_TOPIC as intended or another WORDCOUNT_GROUP, or forget the counts: wordcount reset",
    )


def _not_allowed(settings: Settings, changes: Sequence[Change]) -> ConfigurationError:
    def wrong(change: Change) -> str:
        problem = "does not exist" if change.kind == "create" else "has too few partitions"
        return f'topic "{change.topic}" {problem}'

    flags = (
        f"--bootstrap-servers {settings.bootstrap_servers} --topic {settings.topic} --group {settings.group}"
    )
    return ConfigurationError(
        f"{', '.join(map(wrong, changes))} and WORDCOUNT_CREATE_TOPICS is false",
        f"run: wordcount topics create {flags}; or: {' && '.join(command(settings, change) for change in changes)}",
    )
