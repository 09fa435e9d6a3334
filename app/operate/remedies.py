"""Reset and rebuild: what an operator can decide when exact counting cannot continue.

A reset deletes all counts, so that workers count again. A rebuild deletes stores of this machine, which workers then make anew from
the changelog. Both can be repeated, also after an interruption.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from rocksdict import Cache

from app.kafka.admin import open_admin
from app.kafka.changelog_owner import check_changelog_owner
from app.kafka.clients import connected, connection, rights_of, topic_offsets
from app.kafka.topics import ensure_topics
from app.operate.recount import Definition
from tables.errors import ConfigurationError, ForeignChangelogError, InexactError, StoreCorruptedError
from tables.kafka.offsets import TopicOffsets
from tables.kafka.rights import Right
from tables.model.names import MARKER_KEY
from tables.model.positions import can_catch_up_from, check_owner
from tables.model.rows import Marker, Owner, StoreState, encode_marker
from tables.store.folder_lock import StateLock
from tables.store.partition_store import PartitionStore, destroy_store

if TYPE_CHECKING:
    from app.config.settings import Settings

_BLOCK_CACHE_BYTES: Final = 1 << 20


async def check_resettable(settings: Settings) -> None:
    """Check that the group has no members, and that the changelog belongs to this group and topic.

    Raises:
        BrokerUnavailableError: no broker answers.
        ConfigurationError: the group has members, which the message names; or this user may not describe the group; or the changelog
            belongs to another group or topic.
    """
    await _check_idle(settings)
    await check_changelog_owner(settings)


async def _check_idle(settings: Settings) -> None:
    async with open_admin(settings) as admin:
        try:
            members = await admin.group_members(settings.group)
        except GroupAuthorizationFailedError as error:
            raise rights_of(settings).error(Right("Describe", "group", settings.group)) from error
    if members:
        raise ConfigurationError(
            f"group {settings.group} has {len(members)} members: {', '.join(members)}",
            "stop all workers of the group first; a killed worker stays a member until WORDCOUNT_SESSION_TIMEOUT_MS has passed",
        )


def reset_plan(settings: Settings) -> Sequence[str]:
    """Return a line for each thing that `reset_counts` deletes."""
    return [
        f"topic {settings.topics.changelog}",
        f"the offsets of group {settings.group}",
        f"folder {_stores(settings)}",
    ]


async def reset_counts(settings: Settings) -> Sequence[str]:
    """Delete what `reset_plan` names, and create a changelog that begins at the first record which the input still has.

    The new changelog begins with a marker in each partition. By that marker, workers on other machines recognise that their stores
    belong to the former changelog.

    Returns:
        A line for each thing that was done.

    Raises:
        BrokerUnavailableError: no broker answers.
        ConfigurationError: as `check_resettable`; or this user may not delete the changelog, or a file in the folder of the stores.
        StateLockedError: a worker uses the state folder.
    """
    changelog = settings.topics.changelog
    stores = _stores(settings)
    with _locked(settings.state_dir):
        await check_resettable(settings)
        folder = _deleted(stores)
        async with open_admin(settings) as admin:
            try:
                deleted = await admin.delete_topic(changelog)
            except KafkaError as error:
                if denied := rights_of(settings).denied(error, Right("Delete", "topic", changelog)):
                    raise denied from error
                raise ConfigurationError(
                    f"the broker refuses to delete topic {changelog} ({type(error).__name__})",
                    "have an operator delete it and repeat this command",
                ) from error
            done = [f"topic {changelog} {'deleted' if deleted else 'did not exist'}"]
            try:
                await admin.delete_group(settings.group)
            except KafkaError as error:
                done.append(
                    f"offsets of group {settings.group} kept ({type(error).__name__}): only lag tools read them"
                )
            else:
                done.append(f"offsets of group {settings.group} deleted")
        done.append(folder)
        report = await ensure_topics(settings)
        starts = await _begin(settings, report.partitions)
    first = ", ".join(f"{partition}: {start}" for partition, start in sorted(starts.items()))
    return [*done, f"counting begins at these offsets of {settings.topic} (partition: offset): {first}"]


async def rebuild_stores(settings: Settings, partition: int | None = None) -> Sequence[int]:
    """Delete the stores of this machine, or the store of `partition`; return the partitions whose stores were deleted.

    Raises:
        BrokerUnavailableError: no broker answers.
        ConfigurationError: a store belongs to another group or topic, or cannot be deleted.
        InexactError: the changelog lacks what a store holds; nothing was deleted.
        StateLockedError: a worker uses the state folder.
    """
    if settings.state_dir.exists() and not settings.state_dir.is_dir():
        raise ConfigurationError(
            f"the state folder {settings.state_dir} is not a folder",
            "set WORDCOUNT_STATE_DIR as the workers have it",
        )
    if not _stores(settings).is_dir():
        return []
    with _locked(settings.state_dir):
        folders = sorted(
            (int(folder.name), folder)
            for folder in _stores(settings).iterdir()
            if folder.name.isdecimal() and partition in {None, int(folder.name)}
        )
        async with topic_offsets(settings) as offsets:
            for number, folder in folders:
                await _check_rebuildable(settings, offsets, number, folder)
        for _, folder in folders:
            destroy_store(folder)
            _deleted(folder)
    return [number for number, _ in folders]


async def _check_rebuildable(settings: Settings, offsets: TopicOffsets, partition: int, folder: Path) -> None:
    changelog = settings.topics.changelog
    described = await offsets.describe(changelog)
    end = (await offsets.bounds(changelog, partition))[1] if described.partitions > partition else 0
    state = _state_of(folder)
    if state.marker is not None:
        try:
            check_owner(state.marker, Owner(settings.group, settings.topic))
        except ForeignChangelogError as error:
            raise ConfigurationError(f"the store {folder} was kept: {error.message}", error.remedy) from error
    if state.marker is not None and (end == 0 or not can_catch_up_from(state, described.topic_id, end)):
        raise InexactError(
            f"the store of partition {partition} is at changelog offset {state.examined}, but {changelog} has {end}: "
            "the store cannot be rebuilt from the changelog, and was kept",
            "start the worker, which counts again what the input still has or says what is missing; or: wordcount reset",
        )


def _state_of(folder: Path) -> StoreState:
    """Return the state of a closed store; if the store is corrupted, return the state of an empty store."""
    try:
        store = PartitionStore(folder, Cache(_BLOCK_CACHE_BYTES))
    except StoreCorruptedError:
        return StoreState(marker=None, examined=0, max_upto=0)
    state = store.state
    store.close(store.take_note())
    return state


async def _begin(settings: Settings, partitions: int) -> dict[int, int]:
    """Append the marker of a shard that has counted nothing to each changelog partition.

    Returns:
        Partition -> the input offset where counting begins.
    """
    changelog, profile = settings.topics.changelog, Definition(settings).identity
    starts: dict[int, int] = {}

    def producer() -> AIOKafkaProducer:
        return AIOKafkaProducer(**connection(settings), acks="all", enable_idempotence=True)

    async with topic_offsets(settings) as offsets, connected(settings, producer) as started:
        ids = [await offsets.topic_id(name) for name in (settings.topic, changelog)]
        for partition in range(partitions):
            start = (await offsets.bounds(settings.topic, partition))[0]
            marker = Marker(
                topic=settings.topic,
                group=settings.group,
                topic_id=ids[0],
                changelog_id=ids[1],
                profile=profile,
                origin=start,
                position=start,
            )
            with rights_of(settings).needed(Right("Write", "topic", changelog)):
                await started.send_and_wait(changelog, encode_marker(marker), MARKER_KEY, partition)
            starts[partition] = start
    return starts


def _deleted(folder: Path) -> str:
    """Delete a folder with all its contents, and return a line that says what was done.

    Raises:
        ConfigurationError: the folder, or a file in it, cannot be deleted.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return f"folder {folder} did not exist"
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename} cannot be deleted ({error.strerror})",
            "let this user delete it, or delete it by hand, and repeat this command",
        ) from error
    return f"folder {folder} deleted"


def _stores(settings: Settings) -> Path:
    return settings.state_dir / settings.topics.changelog


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    lock = StateLock(state_dir)
    try:
        yield
    finally:
        lock.release()
