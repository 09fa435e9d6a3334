"""The checks of `wordcount doctor` that ask brokers and workers: topics, rights, group, files and memory for all partitions.

Nothing is sent to a topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError, KafkaError

from app.kafka.access import needed_rights
from app.kafka.admin import Admin, open_admin
from app.kafka.clients import rights_of
from app.kafka.coordinator import no_coordinator
from app.kafka.group_members import group_members
from app.kafka.topics import check_cleanup_policy, command, plan, used_topics
from app.machine import open_files
from app.machine.memory_limit import memory_budget
from app.operate.check import Check
from app.operate.member_checks import member_check
from app.operate.window_check import window_check
from tables.errors import ConfigurationError, WordcountError
from tables.kafka.broker_errors import NO_ERROR, TOPIC_UNAUTHORIZED, UNKNOWN_TOPIC
from tables.kafka.rights import Right
from tables.kafka.topic_description import TopicDescription
from tables.pace.memory import MIB, needed_bytes

if TYPE_CHECKING:
    from app.config.settings import Settings

_CREATE_REMEDY: Final = "run: wordcount topics create"


async def broker_checks(settings: Settings) -> list[Check]:
    """Check brokers, topics, rights, group, open files and memory; if no broker answers, return a single failed check."""
    try:
        async with open_admin(settings) as admin:
            return await _answered_checks(admin, settings)
    except WordcountError as error:
        return [Check("broker", "fail", error.message, error.remedy)]


async def _answered_checks(admin: Admin, settings: Settings) -> list[Check]:
    found = await admin.describe(*used_topics(settings))
    oldest, newest = await admin.fetch_versions()
    needed = needed_rights(settings, "worker")
    written = [topic for topic in found if Right("Write", "topic", topic) in needed]
    return [
        Check("broker", "ok", f"{', '.join(admin.brokers)} (Fetch API versions {oldest} to {newest})"),
        *(_topic(settings, name, topic) for name, topic in found.items()),
        await _in_sync(admin, {name: found[name] for name in written}),
        _partitions(settings, found),
        _open_files(found[settings.topic].partitions or settings.partitions),
        _memory(settings, found[settings.topic].partitions or settings.partitions),
        await _changelog_policy(admin, settings, found),
        *(
            [await _watches_policy(admin, settings, found[settings.topics.watches])]
            if settings.watches is not None
            else []
        ),
        await _input_policy(admin, settings, found),
        *([await window_check(admin, settings, found[settings.topic])] if settings.windows else []),
        *(
            _topic_rights(admin, settings, topic, [right for right in needed if right.name == name])
            for name, topic in found.items()
        ),
        await _group_rights(admin, settings, [right for right in needed if right.kind == "group"]),
        await _group_members(admin, settings),
        await _workers(admin, settings),
    ]


def _topic(settings: Settings, name: str, topic: TopicDescription) -> Check:
    title = f"topic {name}"
    if topic.error_code == NO_ERROR and not topic.leaderless:
        return Check(title, "ok", f"{topic.partitions} partitions")
    if topic.error_code == UNKNOWN_TOPIC:
        if settings.create_topics:
            return Check(title, "warn", "does not exist", f"a worker creates it, or {_CREATE_REMEDY}")
        return Check(title, "fail", "does not exist, and WORDCOUNT_CREATE_TOPICS is false", _CREATE_REMEDY)
    if topic.error_code == TOPIC_UNAUTHORIZED:
        return Check(title, "fail", "this user may not describe it", "grant the rights below")
    return Check(
        title,
        "fail",
        f"partitions without a leader: {', '.join(map(str, topic.leaderless)) or 'all'}",
        "start the brokers that hold the replicas of these partitions; the other partitions are counted",
    )


async def _in_sync(admin: Admin, written: Mapping[str, TopicDescription]) -> Check:
    title = "in-sync replicas"
    for name, topic in written.items():
        if topic.error_code != NO_ERROR or topic.in_sync is None:
            continue
        least = await admin.topic_config(name, "min.insync.replicas")
        if least is not None and topic.in_sync < int(least):
            return Check(
                title,
                "fail",
                f"a partition of {name} has {topic.in_sync}, fewer than min.insync.replicas={least}, and takes no records",
                "start the brokers that hold the replicas of this topic",
            )
    return Check(title, "ok", f"enough to write to {', '.join(written)}")


def _partitions(settings: Settings, found: Mapping[str, TopicDescription]) -> Check:
    title = "partition counts"
    changelog = found[settings.topics.changelog].partitions
    source = found[settings.topic].partitions
    try:
        changes = [change for change in plan(settings, found) if change.kind == "extend"]
    except ConfigurationError as error:
        return Check(title, "fail", error.message, error.remedy)
    if changes:
        remedy = f"{_CREATE_REMEDY}; or: {command(settings, changes[0])}"
        detail = f"the input has {source} partitions, the changelog {changelog}"
        if settings.create_topics:
            return Check(title, "warn", detail, f"a worker extends the changelog, or {remedy}")
        return Check(title, "fail", f"{detail}, and WORDCOUNT_CREATE_TOPICS is false", remedy)
    if not source or not changelog:
        return Check(title, "ok", "nothing to compare yet")
    return Check(title, "ok", f"input and changelog have {source} each")


def _open_files(partitions: int) -> Check:
    title = "open files"
    files = open_files.highest_limit()
    if problem := open_files.too_few(partitions, files):
        return Check(title, "warn", problem, open_files.REMEDY)
    return Check(
        title,
        "ok",
        f"{files} allowed, about {open_files.needed(partitions)} needed for all {partitions} partitions",
    )


def _memory(settings: Settings, partitions: int) -> Check:
    title = "memory"
    try:
        total_bytes = memory_budget(settings)
    except ConfigurationError as error:
        return Check(title, "fail", error.message, error.remedy)
    may, needs = total_bytes // MIB, -(-needed_bytes(partitions) // MIB)
    if needs > may:
        return Check(
            title,
            "warn",
            f"a worker may take {may} MiB, but a worker that has all {partitions} partitions needs {needs} MiB",
            "raise WORDCOUNT_MEMORY_MB and the container's limit, or start more workers",
        )
    return Check(title, "ok", f"{may} MiB may be taken, {needs} needed for all {partitions} partitions")


async def _changelog_policy(admin: Admin, settings: Settings, found: Mapping[str, TopicDescription]) -> Check:
    title = "changelog compaction"
    name = settings.topics.changelog
    if found[name].error_code != NO_ERROR:
        return Check(title, "ok", "no changelog yet")
    policy = await admin.topic_config(name, "cleanup.policy")
    if policy is None:
        return Check(title, "warn", "may not be read by this user", "grant DescribeConfigs on the changelog")
    try:
        check_cleanup_policy(settings, name, policy)
    except ConfigurationError as error:
        return Check(title, "fail", error.message, error.remedy)
    lag_ms = await admin.topic_config(name, "min.compaction.lag.ms")
    if lag_ms is not None and int(lag_ms) < settings.compaction_lag_ms:
        return Check(
            title,
            "warn",
            f"min.compaction.lag.ms is {lag_ms}, less than WORDCOUNT_COMPACTION_LAG_MS",
            f"run: kafka-configs.sh --bootstrap-server {settings.bootstrap_servers} --alter --entity-type topics "
            f"--entity-name {name} --add-config min.compaction.lag.ms={settings.compaction_lag_ms}",
        )
    return Check(title, "ok", f"cleanup.policy={policy}, min.compaction.lag.ms={lag_ms}")


async def _watches_policy(admin: Admin, settings: Settings, topic: TopicDescription) -> Check:
    title = "watches compaction"
    name = settings.topics.watches
    if topic.error_code != NO_ERROR:
        return Check(title, "ok", "no topic of watches yet")
    policy = await admin.topic_config(name, "cleanup.policy")
    if policy is None:
        return Check(
            title, "warn", "may not be read by this user", "grant DescribeConfigs on the topic of watches"
        )
    try:
        check_cleanup_policy(settings, name, policy)
    except ConfigurationError as error:
        return Check(title, "fail", error.message, error.remedy)
    return Check(title, "ok", f"cleanup.policy={policy}")


async def _input_policy(admin: Admin, settings: Settings, found: Mapping[str, TopicDescription]) -> Check:
    title = "input retention"
    if found[settings.topic].error_code != NO_ERROR:
        return Check(title, "ok", "no input topic yet")
    policy = await admin.topic_config(settings.topic, "cleanup.policy")
    if policy is None:
        return Check(
            title, "warn", "may not be read by this user", "grant DescribeConfigs on the input topic"
        )
    if "compact" in policy:
        return Check(
            title,
            "warn",
            f"cleanup.policy={policy}: a record that is compacted before it is read is not counted",
            "keep the input topic at cleanup.policy=delete",
        )
    return Check(title, "ok", f"cleanup.policy={policy}")


def _topic_rights(
    admin: Admin, settings: Settings, topic: TopicDescription, needed: Sequence[Right]
) -> Check:
    title = f"rights on topic {needed[0].name}"
    if topic.error_code == UNKNOWN_TOPIC:
        if admin.rights is not None and "Create" not in admin.rights and settings.create_topics:
            return Check(
                title,
                "warn",
                "whether this user may create it cannot be probed: there is no Create right on the cluster",
                f"grant Create on the topic or the cluster, or let an operator {_CREATE_REMEDY}",
            )
        return Check(title, "ok", "cannot be probed before the topic exists")
    # The broker does not report the rights of a user who may not describe the topic.
    rights = frozenset[str]() if topic.error_code == TOPIC_UNAUTHORIZED else topic.rights
    return _rights(settings, title, rights, needed)


async def _group_rights(admin: Admin, settings: Settings, needed: Sequence[Right]) -> Check:
    title = f"rights on group {settings.group}"
    try:
        rights = await admin.group_rights(settings.group)
    except GroupAuthorizationFailedError:
        rights = frozenset[str]()
    except GroupCoordinatorNotAvailableError:
        error = await no_coordinator(admin, settings.group)
        return Check(title, "fail", error.message, error.remedy)
    except KafkaError as error:
        return Check(title, "warn", f"cannot be probed now ({error!r})", "ask again in a few seconds")
    return _rights(settings, title, rights, needed)


async def _group_members(admin: Admin, settings: Settings) -> Check:
    title = f"members of group {settings.group}"
    try:
        found = await admin.strangers(settings.group)
    except KafkaError as error:
        return Check(title, "warn", f"cannot be asked for now ({error!r})", "ask again in a few seconds")
    if found:
        return Check(
            title,
            "fail",
            f"these members use the new group protocol and are no workers: {', '.join(found)}",
            "stop these members, or set WORDCOUNT_GROUP to another name",
        )
    return Check(title, "ok", "no member uses the new group protocol")


async def _workers(admin: Admin, settings: Settings) -> Check:
    try:
        members = await group_members(admin, settings.group)
    except KafkaError as error:
        title = f"workers of group {settings.group}"
        return Check(title, "warn", f"cannot be asked for now ({error!r})", "ask again in a few seconds")
    return await asyncio.to_thread(member_check, settings, members)


def _rights(settings: Settings, title: str, rights: frozenset[str] | None, needed: Sequence[Right]) -> Check:
    operations = ", ".join(right.operation for right in needed)
    if rights is None:
        return Check(
            title,
            "warn",
            f"{operations} cannot be probed: the broker does not report rights",
            "use Kafka 2.3 or newer, whose brokers report rights, or start a worker and read its log",
        )
    if missing := [right for right in needed if right.operation not in rights]:
        hidden = "" if rights else "; this user may not even see it, so that its other rights are not known"
        names = ", ".join(right.operation for right in missing)
        return Check(title, "fail", f"missing: {names}{hidden}", rights_of(settings).error(*missing).remedy)
    return Check(title, "ok", operations)
