"""The watchdog: ends a worker that looks alive but counts nothing, so that a supervisor can start a new worker.

aiokafka and Faust store some fatal errors without raising them: a group that may not be joined, an assignor that the group does not
know, a topic that was deleted. The process then serves HTTP for ever and counts nothing. A broker that does not answer is not such an
error: the worker waits for the broker.
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
"""Seconds between two checks."""
CHECKS_PER_RIGHTS = 5
"""Every fifth check asks for the rights: a missing right is found before a restore or a dead letter needs the right."""
LOOKS = 4
"""How often per stall time-out the watchdog looks whether there is something to count."""
STRANGERS_S = 5.0
"""Seconds between two questions to the coordinator who else is in the group."""


class Stall:
    """Measures how long positions have stood still while there was something to count. Pure: the caller passes the time.

    Args:
        timeout_s: seconds that positions may stand still. The caller looks `LOOKS` times within this time whether there is something
            to count, so a record that arrives after a long pause has up to a quarter of `timeout_s` more.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._seen: Mapping[int, Progress] | None = None
        self._looked_s = 0.0
        self._lagging_s: float | None = None

    def has_moved(self, progress: Mapping[int, Progress]) -> bool:
        """Return whether `progress` differs from the progress at the last move."""
        return progress != self._seen

    def note_move(self, progress: Mapping[int, Progress], now_s: float) -> None:
        """Note that positions have moved to `progress`, and start the time again."""
        self._seen = dict(progress)
        self.restart(now_s)

    def restart(self, now_s: float) -> None:
        """Start the time again: there was nothing to count, or nothing could be counted."""
        self._looked_s, self._lagging_s = now_s, None

    def is_due(self, now_s: float) -> bool:
        """Return whether it is time to look for something to count."""
        return now_s - self._looked_s >= self._timeout_s / LOOKS

    def note_lag(self, now_s: float) -> None:
        """Note that there is something to count, or that the topic does not exist."""
        self._looked_s = now_s
        if self._lagging_s is None:
            self._lagging_s = now_s

    def is_over(self, now_s: float) -> bool:
        """Return whether there was something to count, or no topic, for `timeout_s` or longer without a move."""
        return self._lagging_s is not None and now_s - self._lagging_s >= self._timeout_s


class Membership(Protocol):
    """The part of `agents.source.membership.BatchConsumerThread` that the watchdog uses."""

    def parked_error(self) -> BaseException | None: ...

    def denied(self, error: BaseException) -> ConfigurationError | None: ...

    def is_member(self) -> bool: ...

    async def strangers(self) -> Sequence[str]: ...


class Watchdog:
    """Checks every `CHECK_S` whether this worker can count. Calls `on_fatal` with the first fatal error, once, and ends.

    Args:
        partitions: the partitions whose positions have to move.
        offsets: looks up the ends of partitions. The ends are those of readable records, so an open transaction is not a stall.
        membership: returns the consumer's thread, which is created later than the watchdog.
        topic, group: input topic and consumer group.
        changelog: topic of the counts.
        rights: makes the message about missing rights.
        needed: all rights that this worker needs.
        stall_timeout_s: seconds that positions may stand still while there is something to count.
        obstacle: returns what keeps the brokers from letting any worker count; None = nothing. The worker waits for the brokers then.
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
        """Check until a fatal error is found, and report that error."""
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
                    "stop these members, or set WORDCOUNT_GROUP to another name",
                )
            case _ if is_fenced(error):
                return ConfigurationError(
                    f"another process is in group {self._group} under this worker's WORDCOUNT_GROUP_INSTANCE_ID",
                    "set another WORDCOUNT_GROUP_INSTANCE_ID for each worker, or none",
                )
            case _ if denied := self._membership().denied(error):
                return denied
            case _:
                return refused_join(error, self._group) or WordcountError(
                    f"the membership in group {self._group} ended ({error!r})"
                )

    async def _missing_rights(self) -> WordcountError | None:
        """Return an error with all missing rights on topics; None = none is missing. Heartbeats show missing rights on the group."""
        missing = []
        for right in self._needed:
            allowed = (await self._offsets.describe(right.name)).rights
            if allowed is not None and right.operation not in allowed:
                missing.append(right)
        return self._rights.error(*missing) if missing else None

    def _look_for_strangers(self) -> WordcountError | None:
        """Take the last answer about strangers in the group, and ask again. Do not wait for an answer.

        Strangers that speak the classic protocol are another case: the broker lets either them or this worker join, see `_parked`.
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
            "stop these members, or set WORDCOUNT_GROUP to another name",
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
        """Return the error to end with if there was something to count for too long; no position has moved for a while."""
        # A topic that does not exist now may be created again soon, so a missing topic has the time of a stall, too.
        exists = await self._offsets.exists(self._topic)
        # A member without progress to report has nothing to count: there are more workers than partitions, or all its partitions
        # have stopped.
        if exists and (not await self._lags(progress) if progress else self._membership().is_member()):
            self._stall.restart(now_s)
            return None
        self._stall.note_lag(now_s)
        if not self._stall.is_over(now_s):
            return None
        if not exists:
            return ConfigurationError(
                f"topic {self._topic} does not exist any more",
                "create the topic, or set WORDCOUNT_TOPIC to another topic; if the old counts are not wanted: wordcount reset",
            )
        if (obstacle := self._obstacle()) is not None:
            _log.warning("nothing can be counted until the brokers are ready", reason=obstacle)
            self._stall.restart(now_s)
            return None
        return StalledError(
            f"nothing was counted for {self._stall_timeout_s:g} s although {self._topic} has records to count",
            "the log before this line says what the worker waited for; starting again usually helps",
        )

    async def _lags(self, progress: Mapping[int, Progress]) -> bool:
        return any(
            await asyncio.gather(*[self._lags_at(partition, done) for partition, done in progress.items()])
        )

    async def _lags_at(self, partition: int, done: Progress) -> bool:
        """Return whether a partition has something to count, and can be counted.

        A partition cannot be counted while the partition itself or its changelog partition has no leader.
        """
        try:
            if (await self._offsets.bounds(self._topic, partition))[1] <= done.position:
                return False
            await self._offsets.bounds(self._changelog, partition)
        except BrokerUnavailableError as unavailable:
            _log.debug("a partition waits for its brokers", partition=partition, reason=str(unavailable))
            return False
        return True
