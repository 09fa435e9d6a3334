"""The map of the group: which worker has which partitions, as the group's leader tells every member with its assignment.

The leader knows the metadata of all members when it assigns partitions. It hands every member the whole map with the member's own
assignment. So each worker knows all others, of the same generation as its own assignment, without a registry and without a request.
Kafka keeps metadata and assignment of each member; whoever may describe the group reads the map from there.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

FORMAT: Final = 1
"""Version of the map and of a member's card. A reader ignores other versions."""

CARD_MAGIC: Final = b"wordcount:"
"""Stands in a member's user data after what the sticky assignor reads, and before the card."""

MAP_MAGIC: Final = b"wordcount-map:"

MOST_MAP_BYTES: Final = 1 << 20
"""Longest map that is unpacked, in bytes: the map of about 500 workers and 10,000 partitions."""

MOST_GROUP_BYTES: Final = 700_000
"""Most bytes of all copies of a map together: a broker refuses the record of a group above `max.message.bytes`, 1 MiB by default.

100 workers and 1,000 partitions take 270,000 bytes.
"""


class Card(msgspec.Struct, frozen=True):
    """What a worker tells the group of itself when it joins.

    Attributes:
        url: where the other workers ask this worker, for example `http://10.0.0.7:8080`.
        standby: partitions that this worker follows.
        stores: partitions of which this worker has a store on its disk, old or new.
        format: `FORMAT` of the writer.
    """

    url: str
    standby: Sequence[int] = ()
    stores: Sequence[int] = ()
    format: int = FORMAT


class Member(msgspec.Struct, frozen=True):
    """A worker of the group.

    Attributes:
        url: where the other workers ask this worker; "" = not known, because the worker is of a former version.
        active: partitions that the worker owns, ascending.
        standby: partitions that the worker follows, ascending.
    """

    url: str
    active: Sequence[int]
    standby: Sequence[int] = ()


class GroupMap(msgspec.Struct, frozen=True):
    """All workers of a group, as of one generation.

    Attributes:
        topic: input topic.
        generation: generation of the group for which the map was made.
        members: the workers, in the order of their member ids.
        me: index in `members` of the worker that got this copy of the map.
        format: `FORMAT` of the writer.
    """

    topic: str
    generation: int
    members: Sequence[Member]
    me: int
    format: int = FORMAT

    @property
    def myself(self) -> Member:
        """The worker that got this copy of the map."""
        return self.members[self.me]

    @property
    def namesakes(self) -> int:
        """Number of other workers that advertise the URL of this one, so that nobody can tell them apart; 0 if it advertises none."""
        url = self.myself.url
        return sum(member.url == url for member in self.members) - 1 if url else 0

    @property
    def first_owner(self) -> Member | None:
        """The worker that owns the lowest partition of all, which does what one worker has to do; None = nobody owns any."""
        owners = [member for member in self.members if member.active]
        return min(owners, key=lambda member: member.active[0], default=None)

    def owners(self, partition: int) -> Sequence[Member]:
        """Return the members that own `partition`: one, unless the map is damaged."""
        return [member for member in self.members if partition in member.active]

    def standbys(self, partition: int) -> Sequence[Member]:
        """Return the members that follow `partition`."""
        return [member for member in self.members if partition in member.standby]


_card_decoder = msgspec.json.Decoder(Card)
_map_decoder = msgspec.msgpack.Decoder(GroupMap)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, zlib.error)


def encode_card(card: Card) -> bytes:
    """Return `card` as it stands in a member's user data."""
    return CARD_MAGIC + msgspec.json.encode(card)


def decode_card(user_data: bytes) -> Card | None:
    """Return the card in a member's user data; None = there is none that can be read."""
    _, found, text = user_data.partition(CARD_MAGIC)
    if not found:
        return None
    try:
        card = _card_decoder.decode(text)
    except _UNREADABLE:
        return None
    return card if card.format == FORMAT else None


def encode_map(group_map: GroupMap) -> bytes:
    """Return `group_map` as it stands in the user data of every assignment.

    The group's record in Kafka holds one copy per member; so the map is compressed.
    """
    return MAP_MAGIC + zlib.compress(msgspec.msgpack.encode(group_map))


def decode_map(user_data: bytes) -> GroupMap | None:
    """Return the map in the user data of an assignment; None = there is none that can be read.

    A leader of a former version sends none.
    """
    if not user_data.startswith(MAP_MAGIC):
        return None
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(user_data.removeprefix(MAP_MAGIC), MOST_MAP_BYTES)
        group_map = _map_decoder.decode(text)
    except _UNREADABLE:
        return None
    is_readable = unpacker.eof and group_map.format == FORMAT and 0 <= group_map.me < len(group_map.members)
    return group_map if is_readable else None


def preferred(
    owned: Mapping[str, Sequence[int]],
    standby: Mapping[str, Sequence[int]],
    stores: Mapping[str, Sequence[int]],
    partitions: int,
) -> Mapping[str, Sequence[int]]:
    """Return the partitions that each member should keep or take over, so that little has to be restored.

    A partition that no member owns any more goes to a member that follows the partition, or else has a store of it; no member gets
    more than its share. A member below its share takes partitions of which it has stores from members above theirs: some partition
    would have to move to this member anyway.

    Args:
        owned: member id -> partitions that the member owned and still claims; each partition has at most one claim.
        standby: member id -> partitions that the member follows.
        stores: member id -> partitions of which the member has a store, old or new.
        partitions: number of partitions of the input topic.
    """
    members = sorted(owned)
    kept = {member: set(owned[member]) for member in members}
    least, most = partitions // max(1, len(kept)), -(-partitions // max(1, len(kept)))
    owner_of = {number: member for member, numbers in kept.items() for number in numbers}
    for had in (standby, stores):
        holders = _holders(had, members)
        for number in range(partitions):
            free = [one for one in holders.get(number, ()) if len(kept[one]) < most]
            if number not in owner_of and free:
                owner_of[number] = min(free, key=lambda one: len(kept[one]))
                kept[owner_of[number]].add(number)
    for had in (standby, stores):
        for member in members:
            for number in sorted(had.get(member, ())):
                owner = owner_of.get(number)
                if owner is not None and len(kept[member]) < least < len(kept[owner]):
                    kept[owner].remove(number)
                    kept[member].add(number)
                    owner_of[number] = member
    return {member: sorted(numbers) for member, numbers in kept.items()}


def placed_standbys(
    active: Mapping[str, Sequence[int]], had: Mapping[str, Sequence[int]], standbys: int
) -> Mapping[str, Sequence[int]]:
    """Return the partitions that each member follows: of each partition `standbys` members, or all but its owner if there are fewer.

    A member that had the partition until now is preferred, because its store is nearly up to date; but no member follows more than its
    share, so that a worker that dies leaves all others with equal work.

    Args:
        active: member id -> partitions that the member owns from now on.
        had: member id -> partitions that the member owned or followed until now, or of which it has a store.
        standbys: number of followers of each partition, >= 0.
    """
    members, copies = sorted(active), min(standbys, len(active) - 1)
    numbers = sorted(number for owned in active.values() for number in owned)
    followed: dict[str, set[int]] = {member: set() for member in members}
    if copies >= 1:
        owns = {member: frozenset(active[member]) for member in members}
        share = -(-len(numbers) * copies // len(members))
        holders, lacking = _holders(had, members), dict.fromkeys(numbers, copies)
        for number in numbers:
            for member in holders.get(number, ()):
                if lacking[number] and number not in owns[member] and len(followed[member]) < share:
                    followed[member].add(number)
                    lacking[number] -= 1
        for number in numbers:
            while lacking[number]:
                free = [one for one in members if number not in owns[one] and number not in followed[one]]
                followed[min(free, key=lambda one: len(followed[one]))].add(number)
                lacking[number] -= 1
    return {member: sorted(owned) for member, owned in followed.items()}


def _holders(had: Mapping[str, Sequence[int]], members: Sequence[str]) -> Mapping[int, Sequence[str]]:
    """Return partition -> the members that have it, in the order of `members`."""
    holders: dict[int, list[str]] = {}
    for member in members:
        for number in set(had.get(member, ())):
            holders.setdefault(number, []).append(member)
    return holders
