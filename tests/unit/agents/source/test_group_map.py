"""The map of the group: its encoding, and which members take over, follow and keep partitions."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.source.group_map import (
    MAP_MAGIC,
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

MAP = GroupMap("in", 7, [Member("http://a:1", [0, 2], [1]), Member("http://b:1", [1], [0, 2])], 1)


def test_a_map_is_read_as_it_was_written() -> None:
    read = decode_map(encode_map(MAP))
    assert read == MAP
    assert read.myself.url == "http://b:1"
    assert [member.url for member in read.owners(2)] == ["http://a:1"]
    assert [member.url for member in read.standbys(2)] == ["http://b:1"]


@pytest.mark.parametrize(
    "user_data",
    [
        b"",
        b"anything",
        MAP_MAGIC,
        MAP_MAGIC + b"not compressed",
        MAP_MAGIC + zlib.compress(b"not msgpack"),
        MAP_MAGIC + zlib.compress(msgspec.msgpack.encode(MAP))[:-6],
        MAP_MAGIC + zlib.compress(bytes(8 << 20)),
        encode_map(msgspec.structs.replace(MAP, format=2)),
        encode_map(msgspec.structs.replace(MAP, me=2)),
        encode_map(msgspec.structs.replace(MAP, me=-1)),
    ],
)
def test_what_is_no_map_of_this_format_is_no_map(user_data: bytes) -> None:
    assert decode_map(user_data) is None


@pytest.mark.parametrize(
    ("urls", "me", "others"),
    [
        (["http://a:1", "http://b:1"], 0, 0),
        (["http://a:1", "http://b:1", "http://a:1", "http://a:1"], 2, 2),
        (["http://a:1", "http://b:1", "http://a:1"], 1, 0),
        (["", ""], 0, 0),
    ],
)
def test_workers_that_advertise_the_same_url_are_counted(urls: list[str], me: int, others: int) -> None:
    members = [Member(url, [number]) for number, url in enumerate(urls)]
    assert GroupMap("in", 1, members, me).namesakes == others


@pytest.mark.parametrize(
    ("active", "first"), [([[1], [0, 2], []], 1), ([[], [5]], 1), ([[], []], None), ([], None)]
)
def test_one_worker_owns_the_lowest_partition(active: list[list[int]], first: int | None) -> None:
    members = [Member(f"http://10.0.0.{number}:8080", one) for number, one in enumerate(active)]
    group_map = GroupMap("texts", 1, members, 0)
    assert group_map.first_owner is (None if first is None else members[first])


def test_a_card_is_found_behind_the_sticky_assignors_data() -> None:
    card = Card("http://10.0.0.7:8080", [3], [3, 4])
    assert decode_card(b"\x00\x01sticky" + encode_card(card)) == card


@pytest.mark.parametrize("user_data", [b"", b"sticky", b"stickywordcount:http://former-version:8080"])
def test_a_member_of_a_former_version_has_no_card(user_data: bytes) -> None:
    assert decode_card(user_data) is None


def test_a_partition_without_an_owner_goes_to_a_follower_before_a_former_owner() -> None:
    owned = {"a": [0], "b": [1]}
    wanted = preferred(owned, {"b": [2], "a": [3]}, {"a": [2, 3]}, 4)
    assert wanted == {"a": [0, 3], "b": [1, 2]}


def test_a_follower_gets_no_more_than_its_share() -> None:
    assert preferred({"a": [0], "b": []}, {"a": [1, 2, 3]}, {}, 4) == {"a": [0, 1], "b": []}


def test_a_worker_that_comes_back_gets_the_partitions_whose_stores_it_has() -> None:
    wanted = preferred({"a": [0, 1, 2], "b": [3, 4, 5], "c": []}, {}, {"c": [1, 4]}, 6)
    assert wanted == {"a": [0, 2], "b": [3, 5], "c": [1, 4]}


def test_a_balanced_group_moves_nothing_to_a_follower() -> None:
    owned = {"a": [0, 1], "b": [2, 3]}
    assert preferred(owned, {"a": [2, 3], "b": [0, 1]}, {"a": [0, 1, 2, 3]}, 4) == owned


@st.composite
def groups(draw: st.DrawFn) -> tuple[dict[str, list[int]], dict[str, list[int]], int]:
    """Return (active, had, standbys) of up to 5 members and 12 partitions."""
    members = [f"m{number}" for number in range(draw(st.integers(1, 5)))]
    active: dict[str, list[int]] = {member: [] for member in members}
    for number in range(draw(st.integers(0, 12))):
        active[draw(st.sampled_from(members))].append(number)
    had = {member: draw(st.lists(st.integers(0, 12), max_size=12)) for member in members}
    return active, had, draw(st.integers(0, 4))


@given(groups())
def test_each_partition_is_followed_by_as_many_others_as_there_can_be(
    group: tuple[dict[str, list[int]], dict[str, list[int]], int],
) -> None:
    active, had, standbys = group
    followed = placed_standbys(active, had, standbys)
    copies = min(standbys, len(active) - 1)
    for owner, numbers in active.items():
        assert not set(numbers) & set(followed[owner]), "a worker follows a partition that it owns"
        for number in numbers:
            assert sum(number in followed[member] for member in active) == copies
    assert all(len(set(numbers)) == len(numbers) for numbers in followed.values())


def test_followers_stay_where_their_stores_are() -> None:
    active = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}
    had = {"a": [2, 4], "b": [1, 5], "c": [0, 3]}
    assert placed_standbys(active, had, 1) == {"a": [2, 4], "b": [1, 5], "c": [0, 3]}


@given(groups())
def test_preferred_partitions_are_claimed_once_and_by_no_more_than_the_share(
    group: tuple[dict[str, list[int]], dict[str, list[int]], int],
) -> None:
    owned, had, _ = group
    wanted = preferred(owned, had, had, 13)
    claimed = [number for numbers in wanted.values() for number in numbers]
    assert len(set(claimed)) == len(claimed)
    share = -(-13 // len(owned))
    assert all(len(numbers) <= max(share, len(owned[member])) for member, numbers in wanted.items())
