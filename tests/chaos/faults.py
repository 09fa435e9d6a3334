"""The faults that chaos injects into a cluster.

Each fault leaves the cluster as it was before, and returns the seconds of the recovery: from the death of a process, or the end of a
disturbance, until all records that the topic had then are counted and restarted workers are ready.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from tests.chaos.cluster import SESSION_TIMEOUT_S, ChaosError, Cluster
from tests.chaos.killable_worker import POINTS, arm
from tests.integration.worker import Worker, wait_for

FAILPOINT_S = 15.0
"""Longest time to wait for a failpoint; then the worker is killed wherever it is."""

PAST_SESSION_S = 2 * SESSION_TIMEOUT_S
FULL_DISK_BYTES = 16 << 20

Inject = Callable[[Cluster, Random], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        kind: name of the fault in reports.
        inject: injects the fault, and returns the seconds of the recovery.
        kills: whether a worker gets SIGKILL.
    """

    kind: str
    inject: Inject
    kills: bool = False


async def random_kill(cluster: Cluster, chance: Random) -> float:
    """Kill a worker at any moment; start it again at once, or after the others have taken over."""
    victim = chance.choice(cluster.base)
    await asyncio.sleep(chance.uniform(0, 1))
    await cluster.kill(victim)
    return await back_again(cluster, chance, victim, time.monotonic())


async def kill_all(cluster: Cluster, chance: Random) -> float:
    """Kill all workers at once."""
    for worker in cluster.base:
        await cluster.kill(worker)
    since = time.monotonic()
    return await restarted(cluster, since, *cluster.base)


async def kill_and_wipe(cluster: Cluster, chance: Random) -> float:
    """Kill a worker, and remove its state folder."""
    victim = chance.choice(cluster.base)
    await cluster.kill(victim)
    since = time.monotonic()
    cluster.wipe(victim)
    return await restarted(cluster, since, victim)


async def kill_twice(cluster: Cluster, chance: Random) -> float:
    """Kill a worker, and kill it again while it restores."""
    victim = chance.choice(cluster.base)
    await cluster.kill(victim)
    if chance.random() < 0.5:
        cluster.wipe(victim)
    victim.start()
    await asyncio.sleep(chance.uniform(1.0, 3.5))
    await cluster.kill(victim)
    return await restarted(cluster, time.monotonic(), victim)


async def kill_at(point: str, cluster: Cluster, chance: Random) -> float:
    """Kill a worker at a failpoint."""
    victim = chance.choice(cluster.base)
    file = cluster.failpoint_file(victim)
    passings = 1 if point in ("replay-done", "heal-begins") else chance.randint(1, 12)
    arm(file, point, passings, signal.SIGKILL)
    if point in ("replay-done", "heal-begins"):
        # Only a restore passes these points; a restart of the worker begins a restore.
        await cluster.kill(victim)
        if chance.random() < 0.5:
            cluster.wipe(victim)
        victim.start()
    deadline = time.monotonic() + FAILPOINT_S
    while victim.is_running() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    file.unlink(missing_ok=True)
    if victim.is_running():
        await cluster.kill(victim)
    else:
        cluster.sigkills += 1
        if victim.exit_code != -signal.SIGKILL:
            raise ChaosError(f"{victim.name} ended with {victim.exit_code} while it waited for {point}")
    return await back_again(cluster, chance, victim, time.monotonic())


async def pause_past_session(cluster: Cluster, chance: Random) -> float:
    """Pause a worker for longer than its session, then let it continue: a zombie that believes it owns its partitions."""
    victim = chance.choice(cluster.base)
    await asyncio.sleep(chance.uniform(0, 0.5))
    victim.pause()
    try:
        await asyncio.sleep(PAST_SESSION_S)
    finally:
        victim.resume()
    return await cluster.recovered(time.monotonic())


async def zombie_append(cluster: Cluster, chance: Random) -> float:
    """Pause a worker between count and append, so that its append comes after those of the next owner; later wipe a state folder."""
    victim = chance.choice(cluster.base)
    others = [worker for worker in cluster.base if worker is not victim]
    file = cluster.failpoint_file(victim)
    arm(file, "append-begins", chance.randint(1, 5), signal.SIGSTOP)
    try:
        await wait_for(partial(_gone, file), f"{victim.name} reaches its failpoint", FAILPOINT_S)
        await asyncio.sleep(PAST_SESSION_S)
        await cluster.recovered(time.monotonic(), others)
    finally:
        file.unlink(missing_ok=True)
        victim.resume()
    since = time.monotonic()
    await cluster.recovered(since)
    await cluster.kill(chance.choice(cluster.base))
    since = time.monotonic()
    (dead,) = [worker for worker in cluster.base if not worker.is_running()]
    cluster.wipe(dead)
    return await restarted(cluster, since, dead)


async def held_append(cluster: Cluster, chance: Random) -> float:
    """Hold a produce request in the network until its worker is dead and another worker owns the partition."""
    victim, other = cluster.workers[1], cluster.workers[0]
    cluster.proxy.hold()
    try:

        async def held() -> bool:
            return cluster.proxy.held > 0

        await wait_for(held, "a produce request is held", FAILPOINT_S)
        await cluster.kill(victim)
        since = time.monotonic()
        took = await cluster.recovered(since, [other])
    finally:
        cluster.proxy.release()
    await asyncio.sleep(0.5)
    await restarted(cluster, time.monotonic(), victim)
    return took


async def rolling_restart(cluster: Cluster, chance: Random) -> float:
    """Stop and start one worker after the other."""
    longest = 0.0
    for worker in cluster.base:
        code, _ = await worker.stop()
        if code != 0:
            raise ChaosError(f"{worker.name} ended with {code} at SIGTERM")
        longest = max(longest, await restarted(cluster, time.monotonic(), worker))
    return longest


async def scale(cluster: Cluster, chance: Random) -> float:
    """Go down to one worker, up to three, down to one, and back to two."""
    _, second, spare = cluster.workers
    await second.stop()
    since = time.monotonic()
    longest = await cluster.recovered(since)
    second.start()
    longest = max(longest, await restarted(cluster, time.monotonic(), spare))
    for worker in (second, spare):
        await worker.stop()
    longest = max(longest, await cluster.recovered(time.monotonic()))
    return max(longest, await restarted(cluster, time.monotonic(), second))


async def rebuild(cluster: Cluster, chance: Random) -> float:
    """Stop all workers, and let one of them rebuild all counts from the changelog, without its stores."""
    for worker in cluster.base:
        await worker.stop()
    alone = chance.choice(cluster.base)
    cluster.wipe(alone)
    took = await restarted(cluster, time.monotonic(), alone)
    await cluster.compare()
    (other,) = [worker for worker in cluster.base if not worker.is_running()]
    await restarted(cluster, time.monotonic(), other)
    return took


async def broker_stop(cluster: Cluster, chance: Random) -> float:
    """Stop the broker by SIGTERM, and start it."""
    await asyncio.to_thread(cluster.broker.stop, 10.0)
    await asyncio.sleep(chance.uniform(0, 3))
    await asyncio.to_thread(cluster.broker.start)
    return await cluster.recovered(time.monotonic())


async def broker_kill(cluster: Cluster, chance: Random) -> float:
    """Kill the broker, and start it."""
    await asyncio.to_thread(cluster.broker.kill)
    await asyncio.sleep(chance.uniform(0, 3))
    await asyncio.to_thread(cluster.broker.start)
    return await cluster.recovered(time.monotonic())


async def broker_pause(cluster: Cluster, chance: Random) -> float:
    """Pause the broker for longer than every session, then let it continue."""
    pid = cluster.broker.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(chance.choice((10, 12, 30)))
    finally:
        os.kill(pid, signal.SIGCONT)
    return await cluster.recovered(time.monotonic())


async def network(mode: str, seconds: float, cluster: Cluster, chance: Random) -> float:
    """Disturb the network by a mode of `TcpProxy` for some seconds, then restore it."""
    cluster.proxy.set_mode(mode)
    if mode == "refuse":
        cluster.proxy.cut()
    try:
        await asyncio.sleep(chance.uniform(0.6, 1) * seconds)
    finally:
        cluster.proxy.set_mode("pass")
    return await cluster.recovered(time.monotonic())


async def corrupt(damage: str, pattern: str, cluster: Cluster, chance: Random) -> float:
    """Damage a file in each store of a stopped worker."""
    victim = chance.choice(cluster.base)
    await victim.stop()
    stores = [path for path in victim.state_dir.glob("*-changelog/*") if (path / "CURRENT").exists()]
    damaged = 0
    for store in stores:
        files = sorted(store.glob(pattern))
        if files:
            hurt(chance.choice(files), damage, chance)
            damaged += 1
    if not damaged:
        raise ChaosError(f"{victim.name} has no file {pattern} to damage in {len(stores)} stores")
    return await restarted(cluster, time.monotonic(), victim)


async def full_disk(cluster: Cluster, chance: Random) -> float:
    """Fill the disk of a worker, which has to end with a clear line, while the others continue."""
    spare = cluster.workers[2]
    before = spare.log if spare.log_path.exists() else ""
    with small_disk(spare.state_dir):
        spare.start()
        await cluster.all_ready()
        await cluster.recovered(time.monotonic())
        fill(spare.state_dir / "filler")
        code = await spare.ended(FAILPOINT_S + 25)
        since = time.monotonic()
    said = [line for line in spare.log[len(before) :].splitlines() if line.startswith("wordcount: ")]
    if code != 1 or len(said) != 1 or "no space left" not in said[0]:
        raise ChaosError(f"{spare.name} on a full disk ended with {code}: {said}")
    return await cluster.recovered(since)


async def back_again(cluster: Cluster, chance: Random, victim: Worker, since: float) -> float:
    """Start a dead worker, at once or when the others have taken over."""
    if chance.random() < 0.5:
        return await restarted(cluster, since, victim)
    took = await cluster.recovered(since)
    await restarted(cluster, time.monotonic(), victim)
    return took


async def restarted(cluster: Cluster, since: float, *workers: Worker) -> float:
    """Start workers; return when they are ready and everything is counted."""
    for worker in workers:
        worker.start()
    await cluster.all_ready()
    return await cluster.recovered(since)


def hurt(path: Path, damage: str, chance: Random) -> None:
    """Damage a file."""
    if damage == "missing":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        del data[chance.randrange(len(data)) :]
    else:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with suppress(OSError), path.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount an empty file system of `FULL_DISK_BYTES` at `folder` while the context is open."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    options = f"size={FULL_DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def can_mount(folder: Path) -> bool:
    """Return whether this user may mount file systems."""
    try:
        with small_disk(folder):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


async def _gone(path: Path) -> bool:
    return not path.exists()


def all_faults(folder: Path) -> list[Fault]:
    """Every kind; a full disk only where this user may mount one on `folder`."""
    damages = [
        ("flipped bit", "*.sst"),
        ("truncated", "*.sst"),
        ("missing", "*.sst"),
        ("flipped bit", "MANIFEST-*"),
        ("truncated", "MANIFEST-*"),
        ("missing", "MANIFEST-*"),
        ("flipped bit", "CURRENT"),
        ("truncated", "CURRENT"),
        ("missing", "CURRENT"),
    ]
    networks = {
        "refuse": 4.0,
        "stall-up": 5.0,
        "stall-down": 5.0,
        "reset": 3.0,
        "throttle": 5.0,
        "delay": 5.0,
        "garbage": 3.0,
    }
    return [
        Fault("SIGKILL", random_kill, kills=True),
        Fault("SIGKILL of all", kill_all, kills=True),
        Fault("SIGKILL, state wiped", kill_and_wipe, kills=True),
        Fault("SIGKILL twice", kill_twice, kills=True),
        *[Fault(f"SIGKILL at {point}", partial(kill_at, point), kills=True) for point in POINTS],
        Fault("append of a zombie, state wiped", zombie_append, kills=True),
        Fault("append of a dead worker", held_append, kills=True),
        Fault("SIGSTOP past the session", pause_past_session),
        Fault("rolling restart", rolling_restart),
        Fault("scaled 2-1-3-1-2", scale),
        Fault("rebuilt from the changelog", rebuild),
        Fault("broker SIGTERM", broker_stop),
        Fault("broker SIGKILL", broker_kill),
        Fault("broker SIGSTOP", broker_pause),
        *[Fault(f"network: {mode}", partial(network, mode, s)) for mode, s in networks.items()],
        *[
            Fault(f"store: {damage} {pattern.rstrip('-*')}", partial(corrupt, damage, pattern))
            for damage, pattern in damages
        ],
        *([Fault("disk full", full_disk)] if can_mount(folder) else []),
    ]
