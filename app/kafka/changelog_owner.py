"""The owner of a changelog topic, checked before the topic is used or deleted: the markers name group and input topic (ADR 11)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.kafka.admin import open_admin
from app.kafka.clients import changelog_reader, topic_offsets
from tables.errors import ConfigurationError, ForeignChangelogError, InexactError
from tables.kafka.broker_errors import NO_ERROR
from tables.kafka.changelog_reader import ChangelogReader
from tables.model.names import MARKER_KEY, former_changelog_topic
from tables.model.positions import COUNT_AGAIN, check_owner
from tables.model.rows import Marker, Owner, decode_marker

if TYPE_CHECKING:
    from app.config.settings import Settings


async def check_changelog_owner(settings: Settings) -> None:
    """Check that this group's changelog, if it exists, has no counts of another group or input topic.

    Raises:
        BrokerUnavailableError: no answer.
        ConfigurationError: the changelog has counts of another owner; the message names both owners.
    """
    name = settings.topics.changelog
    if (marker := _last_marker(await _last_records(settings, name))) is None:
        return
    try:
        check_owner(marker, Owner(settings.group, settings.topic))
    except ForeignChangelogError as error:
        raise ConfigurationError(f"{name}: {error.message}", error.remedy) from error


async def refuse_former_changelog(settings: Settings) -> None:
    """Check that this group's counts are not only in a changelog with the name that a former version used.

    Raises:
        BrokerUnavailableError: no answer.
        ConfigurationError: the counts are only there; the message names both topics.
    """
    name = settings.topics.changelog
    former = former_changelog_topic(settings.group, settings.topic)
    if name == former or not (records := await _last_records(settings, former)):
        return
    if (marker := _last_marker(records)) is not None:
        try:
            check_owner(marker, Owner(settings.group, settings.topic))
        except ForeignChangelogError:
            return
    if await _last_records(settings, name):
        return
    raise ConfigurationError(
        f"the counts of group {settings.group} over topic {settings.topic} are in topic {former}, as a former version named it; "
        f"this version names it {name}",
        f"run the version that wrote the counts, or {COUNT_AGAIN}",
    )


def _last_marker(records: list[tuple[bytes, bytes]]) -> Marker | None:
    """Return the first marker in `records` that can be decoded; None if there is none.

    A partition whose last flush was torn does not end with a marker.
    """
    for key, value in records:
        if key == MARKER_KEY:
            try:
                return decode_marker(value)
            except InexactError:
                continue
    return None


async def _last_records(settings: Settings, topic: str) -> list[tuple[bytes, bytes]]:
    """Return the last record (key, value) of each partition that has records, in order, up to the first marker.

    Empty if the topic does not exist, or if this user may not describe the topic.
    """
    async with open_admin(settings) as admin:
        found = (await admin.describe(topic))[topic]
    if found.error_code != NO_ERROR:
        return []
    records: list[tuple[bytes, bytes]] = []
    async with topic_offsets(settings) as offsets:
        changelog = changelog_reader(settings, topic)
        for number in range(found.partitions):
            first, end = await offsets.bounds(topic, number)
            if end > first:
                records.append(await asyncio.to_thread(_record_before, changelog, number, end))
                if records[-1][0] == MARKER_KEY:
                    break
    return records


def _record_before(changelog: ChangelogReader, partition: int, end: int) -> tuple[bytes, bytes]:
    last = (b"", b"")
    for part in changelog.read(partition, end - 1, end):
        if len(part.keys):
            last = (part.keys[-1].as_py(), part.values[-1].as_py())
    return last
