"""Assignment of partitions to workers: moves as few partitions as possible, and tells the group every worker's HTTP address.

Faust 0.15.3 has no setting for the assignor of a plain consumer and uses round robin. When a worker dies, round robin moves 3 of 8
partitions between the surviving workers; sticky assignment moves none. aiokafka's sticky assignor keeps its state on the class and
never learns the generation; the assignor of this module keeps its state on the instance and learns the generation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

ADDRESS_MAGIC = b"wordcount:"
"""Stands in the member's user data after what the sticky assignor reads, and before the address."""


class AddressedStickyAssignor(StickyPartitionAssignor):
    """Sticky assignor whose member metadata also contains the worker's advertised URL.

    Args:
        url: where this worker answers queries.
        on_assigned: called with the assigned partitions before anything can be fetched from them.
    """

    name = "wordcount-sticky"

    def __init__(self, url: str, on_assigned: Callable[[Collection[Any]], None]) -> None:
        self._url = url
        self._on_assigned = on_assigned
        self._partitions: Collection[Any] | None = None
        self._generation = self.DEFAULT_GENERATION_ID
        self.current_generation: Callable[[], int] = lambda: self.DEFAULT_GENERATION_ID
        """Returns the group's generation; called after each assignment. Replaced as soon as the group coordinator exists."""

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return the superclass's metadata with the URL appended to the user data. A class method in the superclass."""
        plain = self._metadata(topics, self._partitions or [], self._generation)
        return ConsumerProtocolMemberMetadata(
            plain.version, plain.subscription, plain.user_data + ADDRESS_MAGIC + self._url.encode()
        )

    def on_assignment(self, assignment: Any) -> None:
        """Remember the assignment and its generation, then call `on_assigned`. A class method in the superclass."""
        self._partitions = assignment.partitions()
        self._generation = self.current_generation()
        self._on_assigned(self._partitions)
