"""A schedule: everything that happens to some workers and a broker, as chosen by a plan, with a check after every step."""

import asyncio
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from tables.errors import StoreCorruptedError, StoreFullError, StoreUnavailableError
from tables.model.windows import WindowRules
from tests.simulation.broker import WORDS, Broker
from tests.simulation.disks import Disks, break_store
from tests.simulation.event_time import CHANGED_RULES, RULES
from tests.simulation.judge import Judge, store_of
from tests.simulation.owned_tasks import CURRENT, owned_task
from tests.simulation.plan import Plan, Step
from tests.simulation.process import Process
from tests.simulation.questions import Questions
from tests.simulation.source import random_values
from tests.simulation.standbys import break_followers, chosen_standbys, followed_upto
from tests.simulation.wrong_error import WrongError

STALL_S = 10.0
"""Seconds without progress after which the watchdog ends a process; a slow restore takes longer in all, but makes progress."""

ASKING = 0.3
"""Share of the steps after which somebody asks for the newest counts, if there are standbys."""

QUIET_S = 600.0
"""Virtual seconds within which all records have to be counted when nothing fails any more."""


class Schedule:
    """Takes the steps of a plan, or some of them, and judges the result.

    Args:
        plan: decides everything.
        honour_lag: whether compaction stays below the offset up to which an owner has examined the changelog.
    """

    def __init__(self, plan: Plan, *, honour_lag: bool = True) -> None:
        self.random = Random(plan.stream)
        """Random choices; seeded anew at each step, so that a step does not depend on the number of earlier choices."""
        self.aside, self.apart = Random(plan.stream), Random(plan.stream)
        """Further random choices; see `Process`."""
        self.timely = Random(plan.stream)
        """Random choices about the times of records."""
        self.trace: list[str] = []
        self.taken: list[Step] = []
        self.broker = Broker(plan.starts, identified=plan.identified)
        self.disks = Disks()
        self.processes: list[Process] = []
        self.ever: list[Process] = []
        """All processes, including those that have ended."""
        self._plan = plan
        self._words = WORDS[: plan.bias.words]
        self._honour_lag = honour_lag
        self._calm = False
        self._started = 0
        self._rules = RULES if plan.windowed else WindowRules()
        self._rebalancing: asyncio.Task[None] | None = None
        self._rebalance_wanted = False
        self._judgement = Judge(self.broker)
        self._questions = Questions(self._judgement)

    async def run(self, steps: Sequence[Step]) -> None:
        """Take `steps`, then let everything come to rest. Raise WrongError if a promise is broken."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(owned_task)
        # Threads of dead processes end with errors for which no task waits.
        loop.set_exception_handler(lambda *_: None)
        for machine in range(self._plan.machines):
            self._start_process(f"m{machine}")
        self._rebalance()
        for step in steps:
            self.taken.append(step)
            self._draw_from(step.stream)
            if step.rules is not None:
                await self._change_rules(CHANGED_RULES[step.rules])
            getattr(self, f"_{step.name}")()
            if self._plan.standbys and self.apart.random() < ASKING:
                self._questions.newest(self._alive(), self.apart)
            await asyncio.sleep(step.pause_s)
            self._tick()
            self._judge()
            if step.number % 10 == 0:
                self._judgement.look_at_changelogs()
        self._draw_from(self._plan.stream)
        await self._settle()

    def _draw_from(self, stream: int) -> None:
        self.random.seed(stream)
        self.aside.seed(-stream - 1)
        self.apart.seed(stream + 1)
        self.timely.seed(-stream - 2)

    # Steps

    def _append(self) -> None:
        number = self.random.randrange(len(self.broker.source))
        source = self.broker.source[number]
        for _ in range(self.random.randint(1, 3)):
            values = random_values(self.random, self._words, self._plan.wordless)
            holes = [self.random.random() < 0.15 for _ in range(len(values) + 1)]
            source.append(values, holes, self.timely)
        self._note(f"source {number} ends at {source.end}")

    def _poll(self) -> None:
        for process in self._alive():
            for number in sorted(process.counts.partition_numbers()):
                polled = process.fetch(number)
                if polled:
                    self._note(f"{process.name} polls {number}: {polled}")
            while process.fetched and self.random.random() < self._plan.bias.delivered:
                process.deliver()

    def _wait(self) -> None:
        self._note("time passes")
        for process in self._alive():
            process.deliver()

    def _compact(self) -> None:
        number = self.random.randrange(len(self.broker.changelog))
        log = self.broker.changelog[number]
        if not self._honour_lag:
            log.examined = log.end
        below = self.random.choice([log.examined, self.random.randint(0, log.examined)])
        if self._honour_lag:
            below = min([below, *followed_upto(self._alive(), number)])
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
        """Let the group expel a process that is slow, as if the process were dead."""
        members = [process for process in self._alive() if not process.fenced]
        if len(members) > 1:
            process = self.random.choice(members)
            process.fenced = True
            self.broker.group.members.discard(process.name)
            self._note(f"{process.name} is fenced without knowing")
            self._rebalance()

    def _wake(self) -> None:
        for process in self._alive():
            if process.fenced:
                self._note(f"{process.name} learns that it is fenced")
                process.start(partial(self._woken, process))

    def _replace_topic(self) -> None:
        if self.broker.replaced:
            return
        if self.random.random() < 0.5:
            self.broker.replace_changelog()
        else:
            self.broker.replace_source()
        self._note(f"a topic is created again: {self.broker.source_id}, {self.broker.changelog_id}")

    def _intrude(self) -> None:
        number = self.random.randrange(len(self.broker.changelog))
        self.broker.intrude(number, self.random)
        self._note(f"another deployment appends to changelog {number}")

    def _break_disk(self) -> None:
        for process in self._alive():
            self._note(break_followers(process))
            for number, part in process.counts._partitions.items():
                if self.random.random() < 0.5:
                    fault = break_store(store_of(part.shard), self.random, self.aside)
                    self._note(f"store {number} of {process.name}: {fault}")

    def _read(self) -> None:
        """Ask a process questions that are answered while other threads write."""
        self._questions.read(self._alive(), self._plan, self.random, self.apart)

    # Group

    async def _suspended(self, process: Process, clean: bool, timeout_s: float) -> None:
        if not clean:
            # The process learns of the loss some time after the membership was lost.
            process.membership.lose()
            await process.pause()
        await process.counts.suspend(clean=clean, timeout_s=timeout_s)

    async def _woken(self, process: Process) -> None:
        await self._suspended(process, clean=False, timeout_s=1.0)
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
        if not clean:
            self.broker.group.members.clear()
        await self._all(
            process.start(partial(self._suspended, process, clean, timeout_s)) for process in members
        )
        members = [process for process in members if not process.dead and not process.fenced]
        if not members:
            return
        group = self.broker.group
        group.generation += 1
        group.members = {process.name for process in members}
        owners = {number: self.random.choice(members) for number in range(len(self.broker.source))}
        group.owners = {number: process.name for number, process in owners.items()}
        standbys = chosen_standbys(owners, members, self._plan.standbys, self.apart)
        self._note(f"generation {group.generation}: {group.owners}")
        for process in members:
            process.membership.join(process.name, group.generation)
            process.assigned = {number for number, owner in owners.items() if owner is process}
        await self._all(
            process.start(partial(process.counts.assign, set(process.assigned), standbys[process]))
            for process in members
        )

    async def _all(self, tasks: Any) -> None:
        waiting = list(tasks)
        for task, result in zip(waiting, await asyncio.gather(*waiting, return_exceptions=True), strict=True):
            if isinstance(result, Exception):
                self._questions.wrong("an assignment or its end fails in no way", f"{task}: {result!r}")

    def _start_process(self, machine: str) -> Process:
        self._started += 1
        process = Process(
            f"p{self._started}",
            machine,
            self.broker,
            self.random,
            self.aside,
            self.apart,
            0.0 if self._calm else self._plan.fault_rate,
            self._plan.bias,
            self._rules,
            self._on_fatal,
            may_drop=self._plan.changing,
        )
        self.processes.append(process)
        self.ever.append(process)
        return process

    async def _change_rules(self, rules: WindowRules) -> None:
        """End all processes, many amid a flush, and start others. Requests under way arrive before these begin, or never."""
        self._note(f"all processes end; from now on windows are counted by {rules}")
        self._rules = rules
        self._poll()
        await asyncio.sleep(self.random.choice([0, 0.01, 0.1, 1.0]))
        machines = [process.machine for process in self._alive()]
        for process in self._alive():
            self._stop(process, self.random.random() < 0.1)
        # The requests of a process are late from the moment on at which its tasks have ended.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for log in self.broker.changelog:
            log.some_arrive(self.random)
        for machine in machines:
            self._start_process(machine)
        self._rebalance()

    def _end(self, process: Process, lost: bool = False) -> None:
        if process.dead:
            return
        self._stop(process, lost)
        self._start_process(process.machine)
        if self.random.random() < 0.7:
            self._rebalance()

    def _stop(self, process: Process, lost: bool) -> None:
        self._note(f"{process.name} on {process.machine} ends{' and loses its disk' if lost else ''}")
        process.die()
        self.processes.remove(process)
        self.broker.group.members.discard(process.name)
        for folder, disk in list(self.disks.by_folder.items()):
            if folder.parts[1] == process.machine:
                disk.crash(self.random)
                if lost:
                    del self.disks.by_folder[folder]

    def _on_fatal(self, process: Process, error: Exception) -> None:
        if process.dead:
            return
        if isinstance(error, WrongError):
            self._questions.error = self._questions.error or error
        elif not isinstance(error, StoreFullError | StoreUnavailableError | StoreCorruptedError):
            self._questions.wrong("a process ends for its disk alone", f"{process.name}: {error!r}")
        asyncio.get_running_loop().call_soon(self._end, process)

    def _judge(self) -> None:
        for process in self._alive():
            self._judgement.look_at(process)
        if self._questions.error is not None:
            raise self._questions.error

    async def _settle(self) -> None:
        """Let nothing fail any more, and check that all records are counted, also after the loss of all disks."""
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
                source.append([WORDS[0]], [False, False], self.timely)
            await self._counted()
        self._judgement.look_at_rules(self._alive(), self._rules)
        for number, source in enumerate(self.broker.source):
            missing = source.dead_letters() - self.broker.dead_letters[number]
            if missing and not self.broker.replaced and number not in self.broker.intruded:
                raise WrongError("each dead letter is sent", f"partition {number} has none of {missing}")
        self._judgement.look_at_changelogs()
        for number, log in enumerate(self.broker.changelog):
            # No owner heals the changelog of a stopped partition; so compaction stays below the examined offset there.
            log.compact(log.examined if self._has_stopped(number) else log.end)
        self._judgement.look_at_changelogs()
        self._note("all disks are lost")
        for process in self._alive():
            self._end(process, True)
        for process in self._alive():
            process.is_slow = self._plan.ends_slowly
            process.watched(STALL_S, partial(self._ended_by_its_watchdog, process))
        await self._counted()

    def _ended_by_its_watchdog(self, process: Process, error: Exception) -> None:
        self._questions.wrong("a worker that goes on is not ended", f"{process.name}: {error}")

    async def _counted(self) -> None:
        """Return when the owners answer for all records of the input."""
        deadline = asyncio.get_running_loop().time() + QUIET_S
        while not all(self._answers(number) for number in range(len(self.broker.source))):
            if asyncio.get_running_loop().time() > deadline:
                states = {p.name: (dict(p.counts._partitions), p.fetch_position) for p in self._alive()}
                raise WrongError("everything is counted once nothing fails any more", f"{states}")
            if self._rebalancing is None or self._rebalancing.done():
                owners = set(self.broker.group.owners.values())
                if not owners or owners - {process.name for process in self._alive()}:
                    self._rebalance()
            self._poll()
            await asyncio.sleep(0.3)
            self._tick()
            self._judge()

    def _has_stopped(self, number: int) -> bool:
        return any(number in process.counts.errors() for process in self._alive())

    def _answers(self, number: int) -> bool:
        """Return whether the owner of a partition answers for all its records, or has stopped for a replaced or shared topic."""
        for process in self._alive():
            if self.broker.group.owners.get(number) == process.name:
                if self._has_stopped(number):
                    return self.broker.replaced or number in self.broker.intruded
                shard = process.counts.shards().get(number)
                return shard is not None and shard.position == self.broker.source[number].end
        return False

    def _tick(self) -> None:
        for process in self._alive():
            with process.running():
                process.counts.tick()

    def _alive(self) -> list[Process]:
        return list(self.processes)

    def _note(self, text: str) -> None:
        self.trace.append(f"{asyncio.get_running_loop().time():9.3f} {text}")
