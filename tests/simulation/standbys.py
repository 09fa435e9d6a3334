"""The standbys of a schedule: who follows what, how far compaction has to wait for them, and how their disks break."""

from collections.abc import Collection, Iterator, Mapping
from random import Random

from tests.simulation.disks import break_store
from tests.simulation.judge import store_of
from tests.simulation.process import Process

CATCH_UP_S = 2.0
"""`tables.partitions.follower.CATCH_UP_S` in the simulation."""


def chosen_standbys(
    owners: Mapping[int, Process], members: Collection[Process], chance: float, random: Random
) -> Mapping[Process, set[int]]:
    """Return the partitions that each member follows from now on: by `chance`, each that it does not own."""
    return {
        process: {
            number for number, owner in owners.items() if owner is not process and random.random() < chance
        }
        for process in members
    }


def followed_upto(processes: Collection[Process], number: int) -> Iterator[int]:
    """Yield the offsets up to which followers have read a changelog a short time ago, or mean to read before they show more.

    Compaction waits for the records of this time (`min.compaction.lag.ms`).
    """
    for process in processes:
        follower = process.counts.followers.followers().get(number)
        if follower is None:
            continue
        # What was read and is not old enough to be shown will count as read when it was told.
        queue = process.counts.followers._tail._queues.get(number)
        ends = [] if queue is None else [*queue._ends, *([queue._settled] if queue._settled else [])]
        at_end_s = max(follower._at_end_s, follower._target_told_s, *(end.told_s for end in ends))
        if at_end_s > process.now_s() - 2 * CATCH_UP_S:
            yield max(follower.next, follower._target)


def break_followers(process: Process) -> str:
    """Let disks of some followers fail, and return what was done."""
    done = []
    for number, follower in process.counts.followers.followers().items():
        if process.apart.random() < 0.5:
            fault = break_store(store_of(follower), process.apart, process.apart)
            done.append(f"{number} {fault}")
    return f"stores that {process.name} follows: {', '.join(done) or 'all go on'}"
