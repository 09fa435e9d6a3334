"""Checks whether exact counting can go on from a stored position, and why a partition stops if not. Pure.

Each check compares the marker or state of a store with the input topic, the changelog and the configuration. A failed check stops the
partition and names the reason. No check resets a position.
"""

from __future__ import annotations

from dataclasses import dataclass

from tables.errors import ForeignChangelogError, InexactError
from tables.model.durations import duration_text
from tables.model.rows import Marker, Owner, StoreState
from tables.model.windows import WindowRules, WindowState, lost_sizes

COUNT_AGAIN = "wordcount reset counts again what the input has now"
"""Part of every remedy that only an operator can decide on."""


@dataclass(frozen=True, slots=True)
class InputNow:
    """One partition of the input topic as the brokers have it now.

    Attributes:
        topic: name of the topic.
        topic_id: id of the topic; "" = not known.
        partition: number of the partition.
        start: first offset that can be read, inclusive.
        end: offset after the last record, exclusive.
    """

    topic: str
    topic_id: str
    partition: int
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.topic} partition {self.partition}"


def check_owner(marker: Marker, owner: Owner) -> None:
    """Check that a marker names `owner`. Raises ForeignChangelogError if the marker names another topic or group."""
    if marker.topic == owner.topic and marker.group in {"", owner.group}:
        return
    theirs = f" in group {marker.group}" if marker.group else ""
    raise ForeignChangelogError(
        f"the changelog holds counts of topic {marker.topic}{theirs}, not only of {owner.topic} in group {owner.group}",
        "use another WORDCOUNT_GROUP for another topic",
    )


def check_changelog(marker: Marker, changelog_id: str, where: str) -> None:
    """Check that a marker was written for the present changelog.

    Args:
        marker: marker of the last flush.
        changelog_id: id of the present changelog topic; "" = not known.
        where: topic and partition, for the message.

    Raises:
        InexactError: the marker was written for a changelog that was deleted, whose earlier rows are missing.
    """
    if _replaced(marker.changelog_id, changelog_id):
        raise InexactError(
            f"{where}: a worker that counted up to {marker.position} wrote to the changelog after it was deleted and created "
            f"again (id {marker.changelog_id}, now {changelog_id})",
            COUNT_AGAIN,
        )


def check_position(marker: Marker, now: InputNow, *, owner: Owner, changelog_id: str, profile: str) -> None:
    """Check that counting can go on at the position of `marker`.

    Args:
        marker: marker of the last flush.
        now: the partition of the input topic that the marker counts.
        owner: configured group and topic.
        changelog_id: id of the changelog topic; "" = not known.
        profile: configured identity of the tokeniser.

    Raises:
        InexactError: counting cannot go on; the message names topic, partition, offsets and the remedy.
    """
    check_owner(marker, owner)
    _check_topic_id(marker, now)
    check_changelog(marker, changelog_id, str(now))
    if marker.profile != profile:
        raise InexactError(
            f"{now} was counted with profile {marker.profile}, now configured: {profile}",
            f"configure the former profile and options; if only its version differs, run the program that counted; or {COUNT_AGAIN}",
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


def check_windows(
    windows: WindowState | None, rules: WindowRules, dropped: frozenset[int], now: InputNow
) -> None:
    """Check that counting by `rules` removes no counts of windows that nobody wants to remove.

    Args:
        windows: windows of the marker of the last flush; None = it has none.
        rules: configured rules of windows.
        dropped: sizes, in seconds, whose counts may be removed.
        now: the partition of the input topic that the marker counts.

    Raises:
        InexactError: the counts of another size would be removed.
    """
    if not (lost := lost_sizes(windows, rules) - dropped):
        return
    assert windows is not None, "a size that is lost was counted"
    sizes = ",".join(map(duration_text, sorted(lost)))
    counted = f"{now} has counts of windows whose beginnings are {sizes} apart"
    if rules.sizes and rules.time_source != windows.time_source:
        raise InexactError(
            f"{counted}, by the times at {windows.time_source}; WORDCOUNT_TIMESTAMP is {rules.time_source}",
            f"configure the former WORDCOUNT_TIMESTAMP; or remove these counts for good with WORDCOUNT_DROP_WINDOWS={sizes}",
        )
    raise InexactError(
        f"{counted}, which WORDCOUNT_WINDOWS does not have",
        f"add them to WORDCOUNT_WINDOWS; or remove these counts for good with WORDCOUNT_DROP_WINDOWS={sizes}",
    )


def can_catch_up_from(state: StoreState, changelog_id: str, changelog_end: int) -> bool:
    """Return whether a replay of the present changelog can bring the store up to date.

    Args:
        state: state of the store.
        changelog_id: id of the present changelog topic; "" = not known.
        changelog_end: offset after the last record of the changelog partition, exclusive.
    """
    former_id = state.marker.changelog_id if state.marker is not None else state.changelog_id
    return changelog_end >= state.examined and not _replaced(former_id, changelog_id)


def is_made_again(state: StoreState, changelog_id: str, changelog_end: int) -> bool:
    """Return whether the present changelog alone makes the counts of a store of a former changelog: nothing is lost with the store.

    Args:
        state: state of the store.
        changelog_id: id of the present changelog topic; "" = not known.
        changelog_end: offset after the last record of the changelog partition, exclusive.
    """
    marker = state.marker
    return marker is None or (changelog_end > 0 and _replaced(marker.changelog_id, changelog_id))


def check_replaceable(state: StoreState, now: InputNow, *, changelog_id: str, changelog_end: int) -> None:
    """Check that a store which is not of the present changelog can be thrown away, because its counts can be made again.

    The counts come from the present changelog if it is another topic and has records, or from the input topic if it is empty.

    Args:
        state: state of the store.
        now: the partition of the input topic that the store counts.
        changelog_id: id of the present changelog topic; "" = not known.
        changelog_end: offset after the last record of the changelog partition, exclusive.

    Raises:
        InexactError: the changelog was truncated, or it is empty and the input topic no longer has all counted records.
    """
    marker = state.marker
    if marker is None or is_made_again(state, changelog_id, changelog_end):
        return
    if changelog_end > 0:
        # Compaction may have removed a row in favour of a later row that is lost now: the remaining records prove nothing.
        raise InexactError(
            f"{now}: the changelog ends at offset {changelog_end}, but was read up to {state.examined}: truncated",
            COUNT_AGAIN,
        )
    _check_topic_id(marker, now)
    if now.start > marker.origin:
        raise InexactError(
            f"{now}: the changelog is empty, but was read up to {state.examined}; it cannot be written again, because "
            f"records {marker.origin} to {now.start - 1} of the input, which were counted, are gone too",
            COUNT_AGAIN,
        )


def _check_topic_id(marker: Marker, now: InputNow) -> None:
    """Raise InexactError if the input topic was deleted and created again since `marker` was written."""
    if _replaced(marker.topic_id, now.topic_id):
        raise InexactError(
            f"{now}: the topic was deleted and created again (id {marker.topic_id}, now {now.topic_id}); "
            f"the counts are of offsets {marker.origin} to {marker.position} (exclusive) of the former one",
            COUNT_AGAIN,
        )


def _replaced(former_id: str, present_id: str) -> bool:
    """Return whether two ids are known and differ."""
    return bool(former_id and present_id) and former_id != present_id
