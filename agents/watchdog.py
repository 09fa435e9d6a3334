"""Ends a worker that looks alive but counts nothing, so that whoever runs it can start another.

aiokafka and Faust park some fatal errors where nobody looks: a group that may not be joined, an assignor that the group does not know,
a topic that was deleted. The process then serves HTTP for ever and counts nothing. A broker that is away is none of this: it is
waited for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
from aiokafka.errors import InconsistentGroupProtocolError

from agents.source.refused_joins import refused_join
from agents.source.static_member import is_fenced
from tables.errors import BrokerUnavailableError, ConfigurationError, StalledError, WordcountError
from tables.kafka.offsets import TopicOffsets
from tables.kafka.rights import Right, Rights
from tables.partitions.partitions import Partitions
from tables.partitions.restore_progress import Progress

_log = structlog.get_logger(__name__)

CHECK_S = 1.0
CHECKS_PER_RIGHTS = 5
"""Rights are asked for each so many times: a right that is needed later, for a restore or a dead letter, is missed at once."""
LOOKS = 4
STRANGERS_S = 5.0
"""Between two questions to the coordinator who else is in the group."""


class Stall:
    """Tells how long positions have stood still while there was something to count. Pure; the caller brings the time.

    Args:
        timeout_s: as long as this is no stall. Whether there is something to count is asked `LOOKS` times meanwhile, so that a record
            which comes after a long pause has as much time as any other, and a quarter more.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._seen: Mapping[int, Progress] | None = None
        self._looked_s = 0.0
        self._lagging_s: float | None = None

    def has_moved(self, progress: Mapping[int, Progress]) -> bool:
        """Whether `progress` differs from that of the last move."""
        return progress != self._seen

    def note_move(self, progress: Mapping[int, Progress], now_s: float) -> None:
        """Positions have moved to `progress`: the time starts anew."""
        self._seen = dict(progress)
        self.restart(now_s)

    def restart(self, now_s: float) -> None:
        """The time starts anew: there was nothing to do, or nothing could be done."""
        self._looked_s, self._lagging_s = now_s, None

    def is_due(self, now_s: float) -> bool:
        """Whether to look if there is something to count."""
        return now_s - self._looked_s >= self._timeout_s / LOOKS

    def note_lag(self, now_s: float) -> None:
        """There is something to count, or no topic."""
        self._looked_s = now_s
        if self._lagging_s is None:
            self._lagging_s = now_s

    def is_over(self, now_s: float) -> bool:
        """Whether there was something to count, or no topic, for `timeout_s` without a move."""
        return self._lagging_s is not None and now_s - self._lagging_s >= self._timeout_s


class Membership(Protocol):
    """What the watchdog reads of the consumer thread."""

    def parked_error(self) -> BaseException | None: ...

    def denied(self, error: BaseException) -> ConfigurationError | None: ...

    def is_member(self) -> bool: ...

    async def strangers(self) -> Sequence[str]: ...


class Watchdog:
    """Looks every `CHECK_S`; calls `on_fatal` once and is done.

    Args:
        partitions: whose positions have to move.
        offsets: asks for the ends of partitions, as far as records can be read: an open transaction is no stall.
        membership: gives the consumer's thread, which exists later than the watchdog.
        topic, group: named in messages.
        changelog: topic of the counts.
        rights: whose they are.
        needed: all that this worker has to be allowed.
        stall_timeout_s: how long positions may stand still with something to count.
        obstacle: what the brokers lack to let anybody count, as they say; None = nothing. It is waited for as for a broker.
        on_fatal: ends the process.
    """

    def __init__(
        self,
        partitions: Partitions,
        offsets: TopicOffsets,
        membership: Callable[[], Membership],
        *,
        topic: str,
        changelog: str,
        group: str,
        rights: Rights,
        needed: Sequence[Right],
        stall_timeout_s: float,
        obstacle: Callable[[], str | None],
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._partitions = partitions
        self._offsets = offsets
        self._membership = membership
        self._topic = topic
        self._changelog = changelog
        self._group = group
        self._rights = rights
        self._needed = [right for right in needed if right.kind == "topic"]
        self._stall = Stall(stall_timeout_s)
        self._stall_timeout_s = stall_timeout_s
        self._obstacle = obstacle
        self._on_fatal = on_fatal
        self._asking: asyncio.Task[Sequence[str]] | None = None

    async def watch(self) -> None:
        """Run until something fatal is found."""
        try:
            await self._watch()
        finally:
            if self._asking is not None:
                self._asking.cancel()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._stall.restart(loop.time())
        for check in itertools.count():
            error: WordcountError | None
            try:
                error = (
                    self._parked() or self._look_for_strangers() or await self._look_for_stall(loop.time())
                )
                if error is None and check % CHECKS_PER_RIGHTS == 0:
                    error = await self._missing_rights()
            except BrokerUnavailableError as unavailable:
                _log.debug("the watchdog waits for the broker", reason=str(unavailable))
                self._stall.restart(loop.time())
                error = None
            except WordcountError as fatal:
                error = fatal
            if error is not None:
                self._on_fatal(error)
                return
            await asyncio.sleep(CHECK_S)

    def _parked(self) -> WordcountError | None:
        error = self._membership().parked_error()
        match error:
            case None:
                return None
            case InconsistentGroupProtocolError():
                return ConfigurationError(
                    f"group {self._group} has members that are no Wordcount workers",
                    "stop them, or set WORDCOUNT_GROUP to another name",
                )
            case _ if is_fenced(error):
                return ConfigurationError(
                    f"another process is in group {self._group} under this worker's WORDCOUNT_GROUP_INSTANCE_ID",
                    "give each worker an id of its own, or none",
                )
            case _ if denied := self._membership().denied(error):
                return denied
            case _:
                return refused_join(error, self._group) or WordcountError(
                    f"the membership in group {self._group} ended ({error!r})"
                )

    async def _missing_rights(self) -> WordcountError | None:
        """Every right that is missing now; those on the group are seen by its heartbeats."""
        missing = []
        for right in self._needed:
            allowed = (await self._offsets.describe(right.name)).rights
            if allowed is not None and right.operation not in allowed:
                missing.append(right)
        return self._rights.error(*missing) if missing else None

    def _look_for_strangers(self) -> WordcountError | None:
        """Take the answer that came, and ask anew. Waits for no answer.

        Strangers who speak the classic protocol are refused by the broker, or refuse this worker: see `_parked`.
        """
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_strangers())
        if not self._asking.done():
            return None
        found, self._asking = self._asking.result(), None
        if not found:
            return None
        return ConfigurationError(
            f"group {self._group} has members of the new group protocol, which are no Wordcount workers: {', '.join(found)}",
            "stop them, or set WORDCOUNT_GROUP to another name",
        )

    async def _ask_for_strangers(self) -> Sequence[str]:
        await asyncio.sleep(STRANGERS_S)
        return await self._membership().strangers()

    async def _look_for_stall(self, now_s: float) -> WordcountError | None:
        progress = self._partitions.progress()
        if self._stall.has_moved(progress):
            self._stall.note_move(progress, now_s)
        elif self._stall.is_due(now_s):
            return await self._judge(progress, now_s)
        return None

    async def _judge(self, progress: Mapping[int, Progress], now_s: float) -> WordcountError | None:
        """Nothing has moved for a while: see whether there is something to count, and whether that was so for too long."""
        exists = await self._offsets.exists(self._topic)  # If not, it may be about to be created again.
        # A member without partitions has no task: there are more workers than partitions, or all of its are stopped.
        if exists and (not await self._lags(progress) if progress else self._membership().is_member()):
            self._stall.restart(now_s)
            return None
        self._stall.note_lag(now_s)
        if not self._stall.is_over(now_s):
            return None
        if not exists:
            return ConfigurationError(
                f"topic {self._topic} does not exist any more",
                "create it, or set WORDCOUNT_TOPIC to another; where the old counts are not wanted: wordcount reset",
            )
        if (obstacle := self._obstacle()) is not None:
            _log.warning("nothing can be counted before the brokers can", reason=obstacle)
            self._stall.restart(now_s)
            return None
        return StalledError(
            f"nothing was counted for {self._stall_timeout_s:g} s although {self._topic} has records to count",
            "the log above says what was waited for; starting again usually helps",
        )

    async def _lags(self, progress: Mapping[int, Progress]) -> bool:
        return any(
            await asyncio.gather(*[self._lags_at(partition, done) for partition, done in progress.items()])
        )

    async def _lags_at(self, partition: int, done: Progress) -> bool:
        """Whether a partition has something to count, and can be counted: without a leader, it or its changelog, it has to wait."""
        try:
            if (await self._offsets.bounds(self._topic, partition))[1] <= done.position:
                return False
            await self._offsets.bounds(self._changelog, partition)
        except BrokerUnavailableError as unavailable:
            _log.debug("a partition waits for its brokers", partition=partition, reason=str(unavailable))
            return False
        return True
