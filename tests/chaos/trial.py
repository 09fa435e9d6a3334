"""What is done to the workers of the trial of reads: killed, frozen, added, taken away, or restarted one after the other."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import time
from dataclasses import dataclass, field

import httpx

from tests.chaos.replies import Reply
from tests.integration.worker import Worker, wait_for

TOPIC, GROUP, PARTITIONS = "reads", "reads", 8
SLOT_S = 20.0
SESSION_TIMEOUT_S = 2.5
FROZEN_S = 2 * SESSION_TIMEOUT_S
READY_S = 60.0


class ReadsError(AssertionError):
    """A promise about answers that was broken."""


@dataclass
class Event:
    """A fault: its kind, the worker, and when it began and ended by the monotonic clock."""

    kind: str
    worker: str
    begin_s: float
    end_s: float = float("inf")


@dataclass
class Trial:
    """The workers of a trial, which of them may be asked, what was done to them, and what they replied."""

    workers: list[Worker]
    asked: list[Worker] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    def begins(self, kind: str, worker: Worker) -> Event:
        """Note that a fault begins."""
        self.events.append(Event(kind, worker.name, time.monotonic()))
        return self.events[-1]

    async def back(self, event: Event, worker: Worker) -> None:
        """Wait until the worker is ready, which ends the fault."""
        await wait_for(lambda: _is_ready(worker), f"{worker.name} ready after {event.kind}", READY_S)
        event.end_s = time.monotonic()

    async def kill(self, chance: random.Random, victim: Worker) -> None:
        """Kill a worker and start it again, sometimes later, sometimes without its state folder."""
        event = self.begins("SIGKILL", victim)
        await victim.kill()
        if chance.random() < 0.25:
            await asyncio.to_thread(_wipe, victim)
        await asyncio.sleep(chance.choice([0.0, chance.uniform(0, 4)]))
        victim.start()
        await self.back(event, victim)

    async def freeze(self, victim: Worker) -> None:
        """Stop a worker by SIGSTOP for longer than its session, then continue it."""
        event = self.begins("SIGSTOP past the session", victim)
        victim.pause()
        try:
            await asyncio.sleep(FROZEN_S)
        finally:
            victim.resume()
        await self.back(event, victim)

    async def join(self, worker: Worker) -> None:
        """Start one more worker."""
        event = self.begins("one more joins", worker)
        await self.back(event, worker.start())
        self.asked.append(worker)

    async def leave(self, worker: Worker) -> None:
        """Stop a worker by SIGTERM for good."""
        event = self.begins("one leaves", worker)
        self.asked.remove(worker)
        await worker.stop()
        event.end_s = time.monotonic()

    async def restart(self, worker: Worker) -> None:
        """Stop a worker by SIGTERM and start it again; return when it is ready and all partitions are followed again."""
        event = self.begins("restart", worker)
        code, _ = await worker.stop()
        if code != 0:
            raise ReadsError(f"{worker.name} ended with {code} at SIGTERM")
        await self.back(event, worker.start())
        await self.all_followed()

    async def all_followed(self) -> None:
        """Wait until every partition has a standby that has caught up."""

        async def followed() -> bool:
            found = await self.asked[0].json("/v1/assignments")
            standbys = {
                number
                for worker in found["workers"]
                for number, status in worker["standby"].items()
                if status is not None and status["state"] == "following"
            }
            return len(standbys) == PARTITIONS

        await wait_for(followed, "every partition followed by a standby", READY_S)


async def with_faults(trial: Trial, chance: random.Random, seconds: float, slot_s: float) -> None:
    """Kill a worker every `slot_s` seconds; in between one more worker joins or leaves, or a worker is frozen; each once at least."""
    ends_s = time.monotonic() + seconds
    *base, spare = trial.workers
    for turn in itertools.count():
        begun_s = time.monotonic()
        if begun_s + slot_s > ends_s and turn > 1:
            break
        victim = chance.choice(base)
        killing = asyncio.create_task(trial.kill(chance, victim))
        await asyncio.sleep(slot_s / 2)
        if turn % 2:
            await trial.freeze(chance.choice([worker for worker in base if worker is not victim]))
        elif spare in trial.asked:
            await trial.leave(spare)
        else:
            await trial.join(spare)
        await killing
        await asyncio.sleep(max(0.0, begun_s + slot_s - time.monotonic()))


async def with_restarts(trial: Trial, seconds: float) -> None:
    """Restart one worker after the other."""
    ends_s = time.monotonic() + seconds
    await trial.all_followed()
    for worker in itertools.cycle(trial.workers[:-1]):
        await trial.restart(worker)
        await asyncio.sleep(1)
        if time.monotonic() > ends_s:
            break


def _wipe(worker: Worker) -> None:
    shutil.rmtree(worker.state_dir, ignore_errors=True)


async def _is_ready(worker: Worker) -> bool:
    try:
        return await worker.status("/readyz") == 200
    except httpx.HTTPError:
        return False
