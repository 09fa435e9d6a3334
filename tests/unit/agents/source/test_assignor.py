"""The assignor as the leader of a group and as a member: followers become owners, and every member gets the map."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from agents.source.assignor import GroupFacts, MappingStickyAssignor
from agents.source.group_map import Card, GroupMap, decode_map


class Cluster:
    """The brokers' metadata of one topic."""

    def __init__(self, partitions: int) -> None:
        self._partitions = set(range(partitions))

    def topics(self) -> set[str]:
        return {"in"}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return self._partitions


class Worker:
    """A member of the group."""

    def __init__(self, name: str, standbys: int = 1) -> None:
        self.standby: list[int] = []
        self.stores: list[int] = []
        self.generation = 0
        self.assigned: Collection[Any] = ()
        facts = GroupFacts("in", standbys, lambda: Card(f"http://{name}:1", self.standby, self.stores))
        self.assignor = MappingStickyAssignor(facts, self._assigned)
        self.assignor.current_generation = lambda: self.generation

    def _assigned(self, partitions: Collection[Any]) -> None:
        self.assigned = partitions

    @property
    def active(self) -> list[int]:
        return sorted(tp.partition for tp in self.assigned)


def metadata(worker: Worker) -> ConsumerProtocolMemberMetadata:
    return ConsumerProtocolMemberMetadata.decode(worker.assignor.metadata(["in"]).encode())


def rebalance(workers: Mapping[str, Worker], leader: str, partitions: int) -> None:
    generation = max(worker.generation for worker in workers.values()) + 1
    for worker in workers.values():
        worker.generation = generation
    told = workers[leader].assignor.assign(
        Cluster(partitions), {name: metadata(worker) for name, worker in workers.items()}
    )
    for name, worker in workers.items():
        worker.assignor.on_assignment(ConsumerProtocolMemberAssignment.decode(told[name].encode()))
        if (group_map := worker.assignor.group_map) is not None:
            worker.standby = list(group_map.myself.standby)
            worker.stores = sorted({*worker.stores, *worker.standby, *worker.active})


def test_every_member_gets_the_map_of_all() -> None:
    workers = {name: Worker(name) for name in ("x", "y", "z")}
    rebalance(workers, "y", 8)
    for name, worker in workers.items():
        group_map = worker.assignor.group_map
        assert group_map is not None
        assert group_map.generation == 1
        assert group_map.myself.url == f"http://{name}:1"
        assert list(group_map.myself.active) == worker.active
        assert sorted(number for member in group_map.members for number in member.active) == [*range(8)]
        assert all(len(group_map.standbys(number)) == 1 for number in range(8))


def test_the_partitions_of_a_dead_worker_go_to_their_followers() -> None:
    workers = {name: Worker(name) for name in ("x", "y", "z")}
    rebalance(workers, "y", 9)
    dead = workers.pop("z")
    followed = {name: set(worker.standby) for name, worker in workers.items()}
    before = {name: set(worker.active) for name, worker in workers.items()}
    rebalance(workers, "y", 9)
    for name, worker in workers.items():
        assert before[name] <= set(worker.active), "a surviving worker keeps what it has"
    moved = {number: name for name, worker in workers.items() for number in set(worker.active) - before[name]}
    assert set(moved) == set(dead.active)
    assert sum(number in followed[name] for number, name in moved.items()) >= len(moved) - 1


def test_a_worker_that_comes_back_gets_partitions_of_which_it_has_stores() -> None:
    workers = {name: Worker(name) for name in ("x", "y", "z")}
    rebalance(workers, "x", 9)
    gone = workers.pop("z")
    rebalance(workers, "x", 9)
    back = workers["z2"] = Worker("z")
    back.stores = gone.stores
    rebalance(workers, "x", 9)
    assert len(back.active) == 3
    assert set(back.active) <= set(gone.stores)


def test_one_worker_has_no_followers_and_none_are_placed_if_none_are_wanted() -> None:
    alone = {"x": Worker("x")}
    rebalance(alone, "x", 4)
    assert alone["x"].standby == []
    none = {name: Worker(name, standbys=0) for name in ("x", "y")}
    rebalance(none, "x", 4)
    assert none["x"].standby == none["y"].standby == []


def test_a_member_of_a_former_version_owns_partitions_and_follows_none() -> None:
    workers = {name: Worker(name) for name in ("x", "y")}
    former = StickyPartitionAssignor._metadata(["in"], [], -1)
    former = ConsumerProtocolMemberMetadata(
        former.version, former.subscription, former.user_data + b"wordcount:http://w:8080"
    )
    told = workers["x"].assignor.assign(
        Cluster(6), {"w": former, **{name: metadata(worker) for name, worker in workers.items()}}
    )
    assert sum(len(numbers) for _, numbers in told["w"].assignment) == 2
    group_map = decode_map(told["x"].user_data)
    assert group_map is not None
    (old,) = [member for member in group_map.members if not member.url]
    assert not old.standby
    assert len(old.active) == 2


def test_a_leader_of_a_former_version_sends_no_map() -> None:
    worker = Worker("x")
    worker.assignor.group_map = GroupMap("in", 1, [], 0)
    worker.assignor.on_assignment(ConsumerProtocolMemberAssignment(0, [("in", [0])], b""))
    assert worker.assignor.group_map is None
    assert worker.active == [0]


@pytest.mark.slow
def test_a_group_that_is_too_large_for_one_record_still_gets_its_partitions() -> None:
    workers = {f"w{number:03}": Worker(f"w{number:03}") for number in range(250)}
    rebalance(workers, "w000", 3_000)
    assert {len(worker.active) for worker in workers.values()} == {12}
    assert all(worker.assignor.group_map is None for worker in workers.values())
