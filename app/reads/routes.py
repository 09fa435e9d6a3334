"""Routes of a question: which parties may know a partition, in the order in which they should be asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from agents.source.group_map import GroupMap

Party: TypeAlias = str | None
"""A party that answers questions: the URL of another worker, or None for this process."""

HERE: Party = None


class Routes:
    """The other workers that own or follow each partition, by one map of the group.

    Args:
        group_map: the map; None = no other worker is known.

    Attributes:
        urls: the other workers.
    """

    def __init__(self, group_map: GroupMap | None) -> None:
        self.group_map = group_map
        self.urls: Sequence[str] = []
        self._owners: dict[int, list[str]] = {}
        self._standbys: dict[int, list[str]] = {}
        if group_map is None:
            return
        others = [member for number, member in enumerate(group_map.members) if number != group_map.me]
        self.urls = [member.url for member in others]
        for member in others:
            for number in member.active:
                self._owners.setdefault(number, []).append(member.url)
            for number in member.standby:
                self._standbys.setdefault(number, []).append(member.url)

    def parties(
        self,
        number: int,
        *,
        owned: Collection[int],
        followed: Collection[int],
        is_suspect: Callable[[str], bool],
        may_lag: bool,
    ) -> Sequence[Party]:
        """Return the parties that may know partition `number`, those that are asked first first.

        Args:
            number: the partition.
            owned: partitions that this process owns.
            followed: partitions that this process follows.
            is_suspect: returns whether the worker at a URL has left a question unanswered a moment ago; such a worker is asked last.
            may_lag: whether a follower may answer although the owner has counted more; then this process is asked first.
        """
        if number in owned or (may_lag and number in followed):
            first: list[Party] = [HERE]
            near: list[Party] = []
        else:
            first, near = [], [HERE] if number in followed else []
        others: list[Party] = [*self._owners.get(number, ()), *near, *self._standbys.get(number, ())]
        if len(others) > 1:
            # Stable: among the trusted and among the suspect workers the order stays.
            others.sort(key=lambda party: party is not None and is_suspect(party))
        return first + others
