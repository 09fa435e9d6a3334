"""Whether exact counting can go on from what is stored. Where not, the partition stops and says why; nothing is reset. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tables.errors import ForeignChangelogError, InexactError
from tables.model.rows import Marker, Owner, StoreState

COUNT_AGAIN = "wordcount reset counts again what the input has now"
"""Begins the remedy of all that only an operator can decide."""


@dataclass(frozen=True, slots=True)
class InputNow:
    """One partition of the input topic as the brokers have it now.

    Attributes:
        topic: its name.
        topic_id: id of the topic; "" = not known.
        partition: its number.
        start: first offset that can be read.
        end: offset after the last record.
    """

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.topic} partition {self.partition}"


def check_owner(marker: Marker, owner: Owner) -> None:
    """See that a marker is of `owner`. Raises ForeignChangelogError."""
    if marker.topic == owner.topic and marker.group in {"", owner.group}:
        return
    theirs = f" in group {marker.group}" if marker.group else ""
    raise ForeignChangelogError(
        f"the changelog holds counts of topic {marker.topic}{theirs}, not only of {owner.topic} in group {owner.group}",
        "use another WORDCOUNT_GROUP for another topic",
    )


def check_position(marker: Marker, now: InputNow, *, owner: Owner, changelog_id: str, profile: str) -> None:
    """Compare what the state says with what is configured and with what the input topic has.

    Args:
        marker: of the last flush.
        now: the partition of the input that the marker is about.
        owner: whose counts there are, as configured.
        changelog_id: id of the changelog topic; "" = not known.
        profile: identity of the tally, as configured.

    Raises:
        InexactError: names topic, partition, offsets and the remedy.
    """
    check_owner(marker, owner)
    _check_topic_id(marker, now)
    if _replaced(marker.changelog_id, changelog_id):
        raise InexactError(
            f"{now}: a worker that counted up to {marker.position} wrote to the changelog after it was deleted and created "
            f"again (id {marker.changelog_id}, now {changelog_id})",
            COUNT_AGAIN,
        )
    if marker.profile != profile:
        raise InexactError(
            f"{now} was counted with profile {marker.profile}, now configured: {profile}",
            f"configure the former profile and options; of another version of it: run the program that counted; or {COUNT_AGAIN}",
        )
    if marker.position < now.start:
        raise InexactError(
            f"{now}: records {marker.position} to {now.start - 1} expired before they were counted",
            f"{COUNT_AGAIN}; raise retention.ms of the topic",
        )
    if marker.position > now.end:
        raise InexactError(
            f"{now} ends at offset {now.end}, but {marker.position} was next to count: truncated or created again",
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


def check_replaceable(state: StoreState, now: InputNow, *, changelog_id: str, changelog_end: int) -> None:
    """Whether nothing is lost with a store that is not of the present changelog: that one, with the input, has all of it.

    Args:
        state: of the store.
        now: the partition of the input that the store is about.
        changelog_id: id of the changelog topic; "" = not known.
        changelog_end: offset after the last record of the changelog partition.

    Raises:
        InexactError: the changelog lost records, and the input no longer has what was counted.
    """
    marker = state.marker
    if marker is None or (changelog_end > 0 and _replaced(marker.changelog_id, changelog_id)):
        return
    if changelog_end > 0:
        # Compaction may have removed a row for the sake of a later one that is lost now: what is left proves nothing.
        raise InexactError(
            f"{now}: the changelog ends at offset {changelog_end}, but was read up to {state.examined}: truncated",
            COUNT_AGAIN,
        )
    _check_topic_id(marker, now)
    if now.start > marker.origin:
        raise InexactError(
            f"{now}: the changelog is empty, but was read up to {state.examined}; it cannot be written again, because "
            f"records {marker.origin} to {now.start - 1} of the input, which it had counted, are gone too",
            COUNT_AGAIN,
        )


def _check_topic_id(marker: Marker, now: InputNow) -> None:
    if _replaced(marker.topic_id, now.topic_id):
        raise InexactError(
            f"{now}: the topic was deleted and created again (id {marker.topic_id}, now {now.topic_id}); "
            f"the counts are of offsets {marker.origin} to {marker.position} (exclusive) of the former one",
            COUNT_AGAIN,
        )


def _replaced(former_id: str, present_id: str) -> bool:
    return bool(former_id and present_id) and former_id != present_id
