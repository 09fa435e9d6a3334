"""Whether exact counting can go on from what is stored. Where not, the partition stops and says why; nothing is reset. Pure."""

from __future__ import annotations

from tables.errors import ForeignChangelogError, InexactError
from tables.model.rows import Marker, Owner, StoreState

COUNT_AGAIN = "wordcount reset counts again what the input has now"
"""Begins the remedy of all that only an operator can decide."""


def check_owner(marker: Marker, owner: Owner) -> None:
    """See that a marker is of `owner`. Raises ForeignChangelogError."""
    if marker.topic == owner.topic and marker.group in {"", owner.group}:
        return
    theirs = f" in group {marker.group}" if marker.group else ""
    raise ForeignChangelogError(
        f"the changelog holds counts of topic {marker.topic}{theirs}, not only of {owner.topic} in group {owner.group}",
        "use another WORDCOUNT_GROUP for another topic",
    )


def check_position(
    marker: Marker,
    *,
    topic: str,
    group: str,
    topic_id: str,
    changelog_id: str,
    partition: int,
    profile: str,
    start: int,
    end: int,
) -> None:
    """Compare what the state says with what is configured and with what the input topic has.

    Args:
        marker: of the last flush.
        topic, group: as configured.
        topic_id: its id; "" = not known.
        changelog_id: id of the changelog topic; "" = not known.
        partition: its number.
        profile: identity of the tally, as configured.
        start: first offset that can be read.
        end: offset after the last record.

    Raises:
        InexactError: names topic, partition, offsets and the remedy.
    """
    where = f"{topic} partition {partition}"
    check_owner(marker, Owner(group, topic))
    _check_topic_id(marker, topic, topic_id, partition)
    if _replaced(marker.changelog_id, changelog_id):
        raise InexactError(
            f"{where}: a worker that counted up to {marker.position} wrote to the changelog after it was deleted and created "
            f"again (id {marker.changelog_id}, now {changelog_id})",
            COUNT_AGAIN,
        )
    if marker.profile != profile:
        raise InexactError(
            f"{where} was counted with profile {marker.profile}, now configured: {profile}",
            f"configure the former profile and options; of another version of it: run the program that counted; or {COUNT_AGAIN}",
        )
    if marker.position < start:
        raise InexactError(
            f"{where}: records {marker.position} to {start - 1} expired before they were counted",
            f"{COUNT_AGAIN}; raise retention.ms of the topic",
        )
    if marker.position > end:
        raise InexactError(
            f"{where} ends at offset {end}, but {marker.position} was next to count: truncated or created again",
            COUNT_AGAIN,
        )


def is_of_changelog(state: StoreState, changelog_id: str, changelog_end: int) -> bool:
    """Whether a store can be brought forward by the changelog that there is now.

    Args:
        state: of the store.
        changelog_id: id of the changelog topic; "" = not known.
        changelog_end: offset after the last record of the changelog partition.
    """
    former_id = state.marker.changelog_id if state.marker is not None else state.changelog_id
    return changelog_end >= state.examined and not _replaced(former_id, changelog_id)


def check_replaceable(
    state: StoreState,
    *,
    topic: str,
    topic_id: str,
    partition: int,
    start: int,
    changelog_id: str,
    changelog_end: int,
) -> None:
    """Whether nothing is lost with a store that is not of the present changelog: that one, with the input, has all of it.

    Args:
        state: of the store.
        topic: input topic.
        topic_id: its id; "" = not known.
        partition: its number.
        start: first offset of the input partition that can be read.
        changelog_id: id of the changelog topic; "" = not known.
        changelog_end: offset after the last record of the changelog partition.

    Raises:
        InexactError: the changelog lost records, and the input no longer has what was counted.
    """
    marker = state.marker
    where = f"{topic} partition {partition}"
    if marker is None or (changelog_end > 0 and _replaced(marker.changelog_id, changelog_id)):
        return
    if changelog_end > 0:
        # Compaction may have removed a row for the sake of a later one that is lost now: what is left proves nothing.
        raise InexactError(
            f"{where}: the changelog ends at offset {changelog_end}, but was read up to {state.examined}: truncated",
            COUNT_AGAIN,
        )
    _check_topic_id(marker, topic, topic_id, partition)
    if start > marker.origin:
        raise InexactError(
            f"{where}: the changelog is empty, but was read up to {state.examined}; it cannot be written again, because "
            f"records {marker.origin} to {start - 1} of the input, which it had counted, are gone too",
            COUNT_AGAIN,
        )


def _check_topic_id(marker: Marker, topic: str, topic_id: str, partition: int) -> None:
    if _replaced(marker.topic_id, topic_id):
        raise InexactError(
            f"{topic} partition {partition}: the topic was deleted and created again (id {marker.topic_id}, now {topic_id}); "
            f"the counts are of offsets {marker.origin} to {marker.position} (exclusive) of the former one",
            COUNT_AGAIN,
        )


def _replaced(former_id: str, present_id: str) -> bool:
    return bool(former_id and present_id) and former_id != present_id
