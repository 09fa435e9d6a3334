"""One schedule: everything that happens to some workers and a broker, chosen by a seed, judged after every step."""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from tables import replay as replay_module
from tables import word_counts as word_counts_module
from tables.errors import StoreCorruptedError, StoreFullError
from tests.simulation.broker import WORDS, Broker, Value
from tests.simulation.disks import Disks
from tests.simulation.judge import Judge, WrongError, store_of
from tests.simulation.process import CURRENT, Process
from tests.simulation.virtual_time import StuckError, VirtualLoop

Mutate = Callable[[pytest.MonkeyPatch], None]

QUIET_S = 600.0
"""Virtual seconds within which everything has to be counted once nothing fails any more."""


SHORT_S = [0, 0.01, 0.1, 0.3, 0.3]
LONG_S = [0.5, 2.0, 40.0]


class Schedule:
    """What one seed makes of the world.

    Args:
        seed: decides everything.
        honour_lag: whether the cleaner stays behind what an owner has examined.
    """

    def __init__(self, seed: int, *, honour_lag: bool = True) -> None:
        self.random = Random(seed)
        self.trace: list[str] = []
        self.broker = Broker.create(self.random, self.random.choice([1, 1, 2]))
        self.disks = Disks()
        self.processes: list[Process] = []
        self._fault_rate = self.random.choice([0.01, 0.03, 0.1])
        self._honour_lag = honour_lag
        self._calm = False
        self._started = 0
        self._rebalancing: asyncio.Task[None] | None = None
        self._rebalance_wanted = False
        self._error = ""
        self._judgement = Judge(self.broker)

    async def run(self) -> None:
        """Raises WrongError with what happened."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_owned_task)
        # Threads of processes that are gone end with errors that nobody waits for.
        loop.set_exception_handler(lambda *_: None)
        for machine in range(self.random.choice([1, 2, 2, 3])):
            self._start_process(f"m{machine}")
        self._rebalance()
        steps = [
            (self._append, 24),
            (self._poll, 40),
            (self._wait, 10),
            (self._compact, 8),
            (self._delayed_arrives, 10),
            (self._crash, 4),
            (self._rebalance, 5),
            (self._fence, 3),
            (self._wake, 3),
            (self._break_disk, 2),
        ]
        for number in range(self.random.randint(40, 120)):
            [step] = self.random.choices([step for step, _ in steps], [weight for _, weight in steps])
            step()
            await asyncio.sleep(
                self.random.choice(SHORT_S) if step != self._wait else self.random.choice(LONG_S)
            )
            self._tick()
            self._judge()
            if number % 10 == 0:
                self._judgement.look_at_changelogs()
        await self._settle()

    # Steps

    def _append(self) -> None:
        number = self.random.randrange(len(self.broker.source))
        source = self.broker.source[number]
        for _ in range(self.random.randint(1, 3)):
            values: list[Value] = []
            for _ in range(self.random.randint(0, 3)):
                kind = self.random.random()
                words = self.random.choices(WORDS, k=self.random.randint(0, 3))
                values.append(None if kind < 0.06 else b"\xff" if kind < 0.12 else b" ".join(words))
            holes = [self.random.random() < 0.15 for _ in range(len(values) + 1)]
            source.append(values, holes)
        self._note(f"source {number} ends at {source.end}")

    def _poll(self) -> None:
        for process in self._alive():
            for number in sorted(process.counts.partition_numbers()):
                polled = process.fetch(number)
                if polled:
                    self._note(f"{process.name} polls {number}: {polled}")
            while process.fetched and self.random.random() < 0.9:
                process.deliver()

    def _wait(self) -> None:
        self._note("time passes")
        for process in self._alive():
            process.deliver()

    def _compact(self) -> None:
        number = self.random.randrange(len(self.broker.changelog))
        log = self.broker.changelog[number]
        limit = log.examined if self._honour_lag else log.end
        below = self.random.choice([limit, self.random.randint(0, limit)])
        log.compact(below)
        self._note(f"changelog {number} compacted below {below}")

    def _delayed_arrives(self) -> None:
        number = self.random.randrange(len(self.broker.changelog))
        before = self.broker.changelog[number].end
        self.broker.changelog[number].delayed_arrives(self.random)
        self._note(
            f"changelog {number}: delayed requests arrive: {before}-{self.broker.changelog[number].end}"
        )

    def _crash(self) -> None:
        process = self.random.choice(self._alive())
        self._end(process, self.random.random() < 0.3)

    def _rebalance(self) -> None:
        self._rebalance_wanted = True
        if self._rebalancing is None or self._rebalancing.done():
            process = CURRENT.set(None)
            self._rebalancing = asyncio.create_task(self._rebalance_while_wanted())
            CURRENT.reset(process)

    def _fence(self) -> None:
        """The group believes a process dead that is only slow."""
        members = [process for process in self._alive() if not process.fenced]
        if len(members) > 1:
            process = self.random.choice(members)
            process.fenced = True
            self._note(f"{process.name} is fenced without knowing")
            self._rebalance()

    def _wake(self) -> None:
        for process in self._alive():
            if process.fenced:
                self._note(f"{process.name} learns that it is fenced")
                process.start(partial(self._woken, process))

    def _break_disk(self) -> None:
        for process in self._alive():
            for number, part in process.counts._partitions.items():
                if self.random.random() < 0.5:
                    store = store_of(part.shard)
                    fault = self.random.choice(["corrupt now", "fail", "corrupt", "full"])
                    self._note(f"store {number} of {process.name}: {fault}")
                    if fault == "corrupt now":
                        store.disk.corrupt = True
                    else:
                        store.faults.append(fault)

    # Group

    async def _woken(self, process: Process) -> None:
        await process.counts.suspend(clean=False, timeout_s=1.0)
        process.assigned = set()
        await process.counts.assign([])
        process.fenced = False
        self._rebalance()

    async def _rebalance_while_wanted(self) -> None:
        while self._rebalance_wanted:
            self._rebalance_wanted = False
            await self._rebalanced()

    async def _rebalanced(self) -> None:
        members = [process for process in self._alive() if not process.fenced]
        clean = self.random.random() < 0.8
        timeout_s = self.random.choice([0.02, 5.0])
        self._note(f"rebalance begins ({'clean' if clean else 'unclean'}, {timeout_s} s)")
        await self._all(
            process.start(partial(process.counts.suspend, clean=clean, timeout_s=timeout_s))
            for process in members
        )
        members = [process for process in members if not process.dead and not process.fenced]
        if not members:
            return
        self.broker.generation += 1
        owners = {number: self.random.choice(members) for number in range(len(self.broker.source))}
        self.broker.owners = {number: process.name for number, process in owners.items()}
        self._note(f"generation {self.broker.generation}: {self.broker.owners}")
        for process in members:
            process.generation = self.broker.generation
            process.assigned = {number for number, owner in owners.items() if owner is process}
        await self._all(
            process.start(partial(process.counts.assign, set(process.assigned))) for process in members
        )

    async def _all(self, tasks: Any) -> None:
        waiting = list(tasks)
        for task, result in zip(waiting, await asyncio.gather(*waiting, return_exceptions=True), strict=True):
            if isinstance(result, Exception):
                self._wrong(f"{task}: {result!r}")

    def _start_process(self, machine: str) -> Process:
        self._started += 1
        fault_rate = 0.0 if self._calm else self._fault_rate
        process = Process(f"p{self._started}", machine, self.broker, self.random, fault_rate, self._on_fatal)
        self.processes.append(process)
        return process

    def _end(self, process: Process, lost: bool = False) -> None:
        if process.dead:
            return
        self._note(f"{process.name} on {process.machine} ends{' and loses its disk' if lost else ''}")
        process.die()
        self.processes.remove(process)
        for folder, disk in list(self.disks.by_folder.items()):
            if folder.parts[1] == process.machine:
                disk.crash(self.random)
                if lost:
                    del self.disks.by_folder[folder]
        self._start_process(process.machine)
        if self.random.random() < 0.7:
            self._rebalance()

    def _on_fatal(self, process: Process, error: Exception) -> None:
        if process.dead:
            return
        if not isinstance(error, StoreFullError | StoreCorruptedError):
            self._wrong(f"{process.name} ends with {error!r}")
        asyncio.get_running_loop().call_soon(self._end, process)

    def _judge(self) -> None:
        for process in self._alive():
            self._judgement.look_at(process)
        if self._error:
            raise WrongError(self._error)

    async def _settle(self) -> None:
        """Nothing fails any more; everything has to be counted, and to survive the loss of all disks."""
        self._note("calm")
        self._calm = True
        for process in self._alive():
            process.fault_rate = 0.0
        if self._rebalancing is not None:
            await self._rebalancing
        for log in self.broker.changelog:
            for batches in log.delayed:
                for batch in batches:
                    log.append(batch)
            log.delayed = []
        await self._all(
            process.start(partial(self._woken, process)) for process in self._alive() if process.fenced
        )
        # The first record makes every owner examine its changelog once more.
        for _ in range(2):
            for source in self.broker.source:
                source.append([WORDS[0]], [False, False])
            await self._counted()
        for number, source in enumerate(self.broker.source):
            if not source.dead_letters() <= self.broker.dead_letters[number]:
                raise WrongError(f"dead letters of partition {number} are missing")
        self._judgement.look_at_changelogs()
        for log in self.broker.changelog:
            log.compact(log.end)
        self._judgement.look_at_changelogs()
        self._note("all disks are lost")
        for process in self._alive():
            self._end(process, True)
        await self._counted()

    async def _counted(self) -> None:
        """Wait until the owners answer for all of the input."""
        deadline = asyncio.get_running_loop().time() + QUIET_S
        while not all(self._answers(number) for number in range(len(self.broker.source))):
            if asyncio.get_running_loop().time() > deadline:
                states = {p.name: (dict(p.counts._partitions), p.fetch_position) for p in self._alive()}
                raise WrongError(f"not everything is counted, though nothing fails any more: {states}")
            if self._rebalancing is None or self._rebalancing.done():
                owners = set(self.broker.owners.values())
                if not owners or owners - {process.name for process in self._alive()}:
                    self._rebalance()
            self._poll()
            await asyncio.sleep(0.3)
            self._tick()
            self._judge()

    def _answers(self, number: int) -> bool:
        for process in self._alive():
            shard = process.counts.shards().get(number)
            if self.broker.owners.get(number) == process.name and shard is not None:
                return shard.position == self.broker.source[number].end
        return False

    def _tick(self) -> None:
        for process in self._alive():
            with process.running():
                process.counts.tick()

    def _alive(self) -> list[Process]:
        return list(self.processes)

    def _note(self, text: str) -> None:
        self.trace.append(f"{asyncio.get_running_loop().time():9.3f} {text}")

    def _wrong(self, text: str) -> None:
        self._error = self._error or text


def simulate(seed: int, mutate: Mutate | None = None, *, honour_lag: bool = True) -> list[str]:
    """Run the schedule of `seed` and return its steps. Raises AssertionError with them where a promise is broken.

    Args:
        mutate: makes the tables wrong, to show that it is noticed.
        honour_lag: see `Schedule`.
    """
    schedule = Schedule(seed, honour_lag=honour_lag)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_counts_module, "PartitionStore", schedule.disks.open)
        patch.setattr(word_counts_module, "destroy_store", schedule.disks.destroy)
        patch.setattr(word_counts_module, "Cache", lambda size: None)
        patch.setattr(word_counts_module, "_log", _Silent())
        patch.setattr(replay_module, "BUFFER_BYTES", schedule.random.choice([1, 120, 1 << 20]))
        if mutate is not None:
            mutate(patch)
        try:
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(schedule.run())
        except (AssertionError, StuckError) as error:
            steps = "\n".join(schedule.trace)
            raise WrongError(f"seed {seed}: {error!r}\n{steps}") from error
    return schedule.trace


class _Silent:
    """A logger."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def _owned_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    task = asyncio.Task(coroutine, loop=loop, **options)
    process = CURRENT.get()
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task
