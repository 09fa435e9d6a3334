"""The topics of a consumer group (input, changelog, dead letters, watches if there are any): creates, extends and checks them.

`plan` decides from descriptions of topics, without I/O. `ensure_topics` describes the topics, changes them, and describes them again
until no change is left, so that several workers may do the same at the same time.
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
"""Longest wait, in seconds, until created topics can be used."""

_POLL_S: Final = 0.05

# Kafka's cleaner does not compact the newest segment. So segments are closed earlier than by default (1 GiB, a week), and a restore
# reads few superseded records. The time stamp is the time of the append, so that a record which was delayed on its way waits as long
# for the cleaner as any other record. A tombstone says nothing that the marker does not say (rule 20 of ARCHITECTURE.md). So it is
# not kept for a day, by default, in which windows of a minute would leave as many tombstones as there are rows.
_CHANGELOG_CONFIG: Final = {
    "cleanup.policy": "compact",
    "compression.type": "producer",
    "delete.retention.ms": "3600000",
    "message.timestamp.type": "LogAppendTime",
    "segment.bytes": "67108864",
    "segment.ms": "3600000",
}

# Unless the broker sets the time stamp itself, it refuses dead letters of a worker whose clock is an hour ahead.
_DEAD_LETTERS_CONFIG: Final = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}

# As the changelog: what became of a watch is forgotten by a record without a value.
_WATCHES_CONFIG: Final = {
    "cleanup.policy": "compact",
    "delete.retention.ms": "3600000",
    "segment.ms": "3600000",
}

# Error codes that pass: another worker makes the same change, or a leader or controller is being elected. Describe again.
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
    """A change that a topic needs.

    Attributes:
        topic: name of the topic.
        kind: create = the topic is missing; extend = the topic has too few partitions.
        partitions: number of partitions after the change.
        config: configuration of a topic that is created; empty = the brokers' defaults.
    """

    topic: str
    kind: Literal["create", "extend"]
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic that can be used; `came` says whether the topic existed, or was created or extended by this process."""

    name: str
    partitions: int
    came: Literal["existed", "created", "extended"]


@dataclass(frozen=True, slots=True)
class TopicReport:
    """The topics of a group, which can all be used; the changelog has as many partitions as the input topic.

    Attributes:
        watches: None = no watches are configured.
    """

    input: TopicState
    changelog: TopicState
    dead_letters: TopicState
    watches: TopicState | None = None

    @property
    def partitions(self) -> int:
        """Number of partitions of the input topic."""
        return self.input.partitions


async def ensure_topics(settings: Settings) -> TopicReport:
    """Create missing topics and partitions if `settings.create_topics` allows that, and check all topics.

    Raises:
        BrokerUnavailableError: no broker answers within two time-outs of a request, or a new topic cannot be used after
            `SETTLE_TIMEOUT_S`.
        ConfigurationError: a topic or partitions are missing and may not be created (the remedy names the commands), the changelog
            has more partitions than the input topic, the `cleanup.policy` of a topic would lose what has to stay, or this user lacks
            a right.
    """
    async with open_admin(settings) as admin:
        states = await _settled(admin, settings, used_topics(settings))
        for name in compacted_topics(settings):
            check_cleanup_policy(settings, name, await admin.topic_config(name, "cleanup.policy"))
    return TopicReport(*states)


def used_topics(settings: Settings) -> Sequence[str]:
    """Return the names of all topics that a worker uses."""
    topics = settings.topics
    watches = () if settings.watches is None else (topics.watches,)
    return (topics.input, topics.changelog, topics.dead_letters, *watches)


def compacted_topics(settings: Settings) -> Sequence[str]:
    """Return the names of the topics whose newest record of each key has to stay."""
    topics = settings.topics
    return (topics.changelog,) if settings.watches is None else (topics.changelog, topics.watches)


async def ensure_input_topic(settings: Settings) -> TopicState:
    """Create and check the input topic as `ensure_topics` does, without the other topics: a producer needs no more."""
    async with open_admin(settings) as admin:
        return (await _settled(admin, settings, (settings.topic,)))[0]


def plan(settings: Settings, found: Mapping[str, TopicDescription]) -> list[Change]:
    """Return the changes after which the topics in `found` can be used.

    Raises:
        ConfigurationError: this user may not describe a topic, or the changelog has more partitions than the input topic.
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
            partitions = 1 if name == settings.topics.watches else wanted
            changes.append(Change(name, "create", partitions, topic_config(settings, name)))
        elif name == changelog and 0 < metadata.partitions < wanted:
            changes.append(Change(name, "extend", wanted, {}))
    return changes


def topic_config(settings: Settings, name: str) -> dict[str, str]:
    """Return the configuration of a topic that is created; empty for the input topic, which gets the brokers' defaults."""
    if name == settings.topics.changelog:
        return {**_CHANGELOG_CONFIG, "min.compaction.lag.ms": str(settings.compaction_lag_ms)}
    if name == settings.topics.watches:
        return dict(_WATCHES_CONFIG)
    return {} if name == settings.topic else dict(_DEAD_LETTERS_CONFIG)


def command(settings: Settings, change: Change) -> str:
    """Return the command line of Kafka's own tool that makes a change."""
    words = ["kafka-topics.sh", "--bootstrap-server", settings.bootstrap_servers]
    words += ["--create" if change.kind == "create" else "--alter", "--topic", change.topic]
    words += ["--partitions", str(change.partitions)]
    if change.kind == "create" and settings.replication_factor > 0:
        words += ["--replication-factor", str(settings.replication_factor)]
    for key, value in change.config.items():
        words += ["--config", f"{key}={value}"]
    return " ".join(words)


def check_cleanup_policy(settings: Settings, name: str, policy: str | None) -> None:
    """Check the `cleanup.policy` of one of `compacted_topics`; None = the policy is not known, and is not checked.

    Raises:
        ConfigurationError: the policy deletes records by age or size, so counts of rare words, or what is known of watches, would be
            lost.
    """
    if policy is None or policy.replace(" ", "") == "compact":
        return
    what, lost, afterwards = "changelog", "counts", ""
    if name == settings.topics.changelog:
        afterwards = "; if the changelog was in use, then run wordcount reset, which counts again what the input has now"
    else:
        what, lost = "topic of watches", "what was found and what was delivered"
    raise ConfigurationError(
        f'{what} "{name}" has cleanup.policy={policy}, which deletes {lost}',
        f"run: kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter --entity-type topics "
        f"--entity-name {name} --add-config cleanup.policy=compact{afterwards}",
    )


async def _settled(admin: Admin, settings: Settings, names: Sequence[str]) -> list[TopicState]:
    """Describe and change topics until every topic can be used.

    A new topic can be used when all its partitions have leaders. A topic that existed before is used even if partitions lack a leader:
    only these partitions have to wait.
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
        "start the brokers that have the replicas of these topics",
    )


async def _apply(admin: Admin, settings: Settings, change: Change) -> bool:
    """Make a change. Return True if this process made it; False = another process may have made it: describe again.

    Raises:
        ConfigurationError: the broker refuses the change.
    """
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
            f"{source_partitions}: the changelog belongs to another topic of that name",
            "wordcount reset counts again what the input has now; or set another WORDCOUNT_GROUP",
        )
    return ConfigurationError(
        f'changelog "{changelog}" has {partitions} partitions, but input topic "{settings.topic}" does not '
        f"exist and WORDCOUNT_PARTITIONS is {settings.partitions}: the counts are of a topic that was deleted",
        "set WORDCOUNT_TOPIC to the intended topic, or set another WORDCOUNT_GROUP, or forget the counts: wordcount reset",
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
