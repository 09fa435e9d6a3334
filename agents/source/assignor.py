"""Assignment of partitions to workers: moves as few partitions as possible, and hands every worker the map of all workers.

Faust 0.15.3 has no setting for the assignor of a plain consumer and uses round robin. When a worker dies, round robin moves 3 of 8
partitions between the surviving workers; sticky assignment moves none. aiokafka's sticky assignor keeps its state on the class and
never learns the generation; the assignor of this module keeps its state on the instance and learns the generation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from aiokafka.coordinator.assignors.sticky.sticky_assignor import (
    StickyAssignmentExecutor,
    StickyAssignorMemberMetadataV1,
    StickyPartitionAssignor,
)
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.structs import TopicPartition
from msgspec.structs import replace

from agents.source.group_map import (
    MOST_GROUP_BYTES,
    Card,
    GroupMap,
    Member,
    decode_card,
    decode_map,
    encode_card,
    encode_map,
    placed_standbys,
    preferred,
)

_log = structlog.get_logger(__name__)


class GroupFacts(NamedTuple):
    """What this worker tells and asks of the group.

    Attributes:
        topic: input topic.
        standbys: followers that each partition gets while this worker leads the group, >= 0.
        card: returns what this worker tells the group of itself now; called in the consumer's thread.
    """

    topic: str
    standbys: int
    card: Callable[[], Card]


class MappingStickyAssignor(StickyPartitionAssignor):
    """Sticky assignor that prefers followers as next owners, places followers, and hands every member the map of the group.

    Args:
        facts: what this worker tells and asks of the group.
        on_assigned: called with the assigned partitions before anything can be fetched from them.

    Attributes:
        group_map: the map of the latest assignment; None = none yet, or the leader is of a version that sends no map.
    """

    name = "wordcount-sticky"

    def __init__(self, facts: GroupFacts, on_assigned: Callable[[Collection[Any]], None]) -> None:
        self._facts = facts
        self._on_assigned = on_assigned
        self._partitions: Collection[Any] | None = None
        self._generation = self.DEFAULT_GENERATION_ID
        self.group_map: GroupMap | None = None
        self.current_generation: Callable[[], int] = lambda: self.DEFAULT_GENERATION_ID
        """Returns the group's generation; called at each assignment. Replaced as soon as the group coordinator exists."""

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return the superclass's metadata with this worker's card in the user data. A class method in the superclass."""
        plain = self._metadata(topics, self._partitions or [], self._generation)
        return ConsumerProtocolMemberMetadata(
            plain.version, plain.subscription, plain.user_data + encode_card(self._facts.card())
        )

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Assign partitions and followers, as the leader of the group. A class method in the superclass."""
        topic = self._facts.topic
        cards = {member: decode_card(metadata.user_data or b"") for member, metadata in members.items()}
        standby = {member: card.standby for member, card in cards.items() if card is not None}
        stores = {member: card.stores for member, card in cards.items() if card is not None}
        former = {member: self.parse_member_metadata(metadata) for member, metadata in members.items()}
        owned = _claims(former, topic)
        count = len(cluster.partitions_for_topic(topic) or ())
        wanted = preferred(owned, standby, stores, count)
        executor = StickyAssignmentExecutor(
            cluster,
            {
                member: StickyAssignorMemberMetadataV1(
                    data.subscription,
                    [TopicPartition(topic, number) for number in wanted[member]],
                    # All claims are of one generation from here on: `_claims` has decided between members.
                    max(one.generation for one in former.values()),
                )
                for member, data in former.items()
            },
        )
        executor.perform_initial_assignment()
        executor.balance()
        found = {member: sorted(executor.get_final_assignment(member)) for member in members}
        active = {member: sorted(dict(found[member]).get(topic, ())) for member in sorted(members)}
        followed = placed_standbys(
            # A worker of a former version sends no card, and follows nothing.
            {member: numbers for member, numbers in active.items() if cards[member] is not None},
            {member: [*owned[member], *standby[member], *stores[member]] for member in standby},
            self._facts.standbys,
        )
        workers = [
            Member(card.url if card is not None else "", active[member], followed.get(member, ()))
            for member, card in sorted(cards.items())
        ]
        maps = _maps(GroupMap(topic, self.current_generation(), workers, 0))
        return {
            member: ConsumerProtocolMemberAssignment(self.version, found[member], copy)
            for member, copy in zip(sorted(cards), maps, strict=True)
        }

    def on_assignment(self, assignment: Any) -> None:
        """Remember assignment, generation and map, then call `on_assigned`. A class method in the superclass."""
        self._partitions = assignment.partitions()
        self._generation = self.current_generation()
        self.group_map = decode_map(assignment.user_data or b"")
        if self.group_map is None:
            _log.warning(
                "the leader of the group sent no map of the workers, so this worker answers for its own partitions only",
                remedy="upgrade the other workers",
            )
        self._on_assigned(self._partitions)


def _maps(group_map: GroupMap) -> Sequence[bytes]:
    """Return the copy of the map for each member; empty ones if the group is too large for a broker's record of it."""
    copies = [encode_map(replace(group_map, me=number)) for number in range(len(group_map.members))]
    if (size := sum(map(len, copies))) <= MOST_GROUP_BYTES:
        return copies
    _log.error(
        "the group has no map of its workers, because it is too large for one record; workers answer for their own partitions",
        bytes=size,
        most=MOST_GROUP_BYTES,
        remedy="use fewer workers or fewer partitions",
    )
    return [b""] * len(copies)


def _claims(former: Mapping[str, StickyAssignorMemberMetadataV1], topic: str) -> dict[str, list[int]]:
    """Return member id -> partitions that the member owned last: of several claims of a partition the one of the latest generation."""
    claims: dict[int, tuple[int, str]] = {}
    for member, data in former.items():
        for tp in data.partitions:
            if tp.topic == topic:
                claims[tp.partition] = max(claims.get(tp.partition, (-1, "")), (data.generation, member))
    owned: dict[str, list[int]] = {member: [] for member in former}
    for number, (_, member) in sorted(claims.items()):
        owned[member].append(number)
    return owned
