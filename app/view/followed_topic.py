"""The partitions that a view follows: as many as the input topic has, and those again whose follower has stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, Protocol

import structlog

from tables.errors import BrokerUnavailableError
from tables.partitions.follower import Follower

LOOK_S: Final = 10.0
"""Seconds between two looks at the number of partitions of the input topic."""

RETRY_S: Final = 1.0
"""Seconds until the next look after one in vain."""

AGAIN_S: Final = (10.0, 30.0, 60.0, 300.0)
"""Shortest pauses between two times at which stopped followers begin again. The last one is repeated until all of them follow."""

_log = structlog.get_logger(__name__)


class FollowsPartitions(Protocol):
    """Follows partitions; `tables.partitions.followers.Followers`."""

    def followers(self) -> Mapping[int, Follower]:
        """See `Followers.followers`."""
        ...

    async def follow(self, numbers: Collection[int]) -> None:
        """See `Followers.follow`."""
        ...


class FollowedTopic:
    """Has all partitions of the input topic followed, look by look.

    Args:
        topic: the input topic.
        count: asks a broker how many partitions the topic has; 0 = there is no such topic. Raises BrokerUnavailableError.
        followers: follow the partitions.
        divide: divides the memory among a number of partitions.
        clock: returns monotonic seconds.

    Attributes:
        partitions: number of partitions that are followed; None = not known yet.
        waits: why the latest look was in vain; "" = it was not.
    """

    def __init__(
        self,
        topic: str,
        count: Callable[[], Awaitable[int]],
        followers: FollowsPartitions,
        divide: Callable[[int], None],
        clock: Callable[[], float],
    ) -> None:
        self.partitions: int | None = None
        self.waits = ""
        self._topic = topic
        self._count = count
        self._followers = followers
        self._divide = divide
        self._clock = clock
        self._heard_s: float | None = None
        """When a broker last answered a look; None = none has answered yet."""
        self._tries = 0
        """How often stopped followers have begun again since all followers followed."""
        self._tried_s = 0.0

    def heard_age_s(self) -> float | None:
        """Return the seconds since a broker last answered a look; None = none has answered yet."""
        return None if self._heard_s is None else self._clock() - self._heard_s

    async def look(self) -> float:
        """Follow as many partitions as the topic has now, and have stopped followers begin again if it is time to.

        Returns:
            Seconds until the next look.

        Raises:
            StateLockedError, StoreFullError, StoreUnavailableError: a store cannot be opened.
        """
        try:
            found = await self._count()
        except BrokerUnavailableError as error:
            reason = str(error)
        else:
            self._heard_s = self._clock()
            reason = "" if found else f"there is no topic {self._topic}"
        if reason:
            if reason != self.waits:
                _log.warning("the view waits for the input topic", reason=reason)
        elif found != self.partitions:
            self._divide(found)
            await self._followers.follow(range(found))
            self.partitions = found
            _log.info("partitions are followed", topic=self._topic, partitions=found)
        elif self._has_to_begin_again():
            await self._followers.follow(range(found))
        self.waits = reason
        return RETRY_S if reason else LOOK_S

    def _has_to_begin_again(self) -> bool:
        """Return whether a follower has stopped that has to begin again now, and count the tries."""
        states = {one.state for one in self._followers.followers().values()}
        if states == {"following"}:
            self._tries = 0
        if "stopped" not in states:
            return False
        now_s = self._clock()
        pause_s = AGAIN_S[min(self._tries, len(AGAIN_S)) - 1] if self._tries else 0.0
        if now_s - self._tried_s < pause_s:
            return False
        self._tries, self._tried_s = self._tries + 1, now_s
        return True
