"""The life of a partition in this process: one table of states and events, and nothing else decides. Pure.

A partition is owned from its assignment to its release. In between it is restored, counts, flushes, is suspended by a rebalance, or
stops for good. What happens to it is an *event*; the table says which state follows and which *action* `tables.partitions.partitions`
has to take. A pair that the table does not have is a mistake of the program: it raises AssertionError.

Two rules follow from the table, and tests hold them:

1. a task (a flush or a restore) runs in `FLUSHING` and `RESTORING` alone, so that no two overlap;
2. a task that was cancelled by a suspension or release may still end in any way: it starts nothing any more.
"""

from __future__ import annotations

from enum import Enum, auto

from tables.errors import (
    BrokerUnavailableError,
    ChangelogReplacedError,
    FlushUnknownError,
    ForeignRecordsError,
    InexactError,
    PartitionsLostError,
    StoreCorruptedError,
)
from tables.observer import PartitionState

MAX_REBUILDS = 3
"""Attempts in a row to rebuild a store that is corrupted again at once; then the disk is not to be trusted and the process ends."""


class State(Enum):
    """Where a partition stands.

    `SUSPENDED`: its store is open and nothing happens, since a rebalance is under way; `RESTORING`: its store is brought to the end
    of the changelog; `COUNTING`: records are taken in; `FLUSHING`: the same while a flush is under way; `STOPPED`: an `InexactError`
    ended it until the next assignment; `ENDED`: an error ends the process; `RELEASED`: it is somebody else's.
    """

    SUSPENDED = auto()
    RESTORING = auto()
    COUNTING = auto()
    FLUSHING = auto()
    STOPPED = auto()
    ENDED = auto()
    RELEASED = auto()


class Event(Enum):
    """What happens to a partition.

    `ASSIGNED`: the group gave it to this process, or left it here; `FLUSH`: its buffer is due; `FLUSHED` and `RESTORED`: the task
    under way has ended well; `DOUBT`: whether its store has all that the changelog has is not known; `UNUSABLE`: its store has to
    be thrown away and rebuilt; `INEXACT`: exact counting cannot go on; `FATAL`: the process cannot go on; `SUSPENDED`: a
    rebalance or a stop begins; `RELEASED`: the partition is given away.
    """

    ASSIGNED = auto()
    FLUSH = auto()
    FLUSHED = auto()
    RESTORED = auto()
    DOUBT = auto()
    UNUSABLE = auto()
    INEXACT = auto()
    FATAL = auto()
    SUSPENDED = auto()
    RELEASED = auto()


class Action(Enum):
    """What has to be done on the way into a state."""

    NOTHING = auto()
    RESTORE = auto()
    FLUSH = auto()
    FLUSH_IF_DUE = auto()
    STOP = auto()
    END_PROCESS = auto()


_NOTHING = Action.NOTHING
_ENDS = frozenset({Event.FLUSHED, Event.RESTORED, Event.DOUBT, Event.UNUSABLE, Event.INEXACT})
"""Ways in which a task ends that do not end the process."""

_FAILURES = {
    Event.DOUBT: (State.RESTORING, Action.RESTORE),
    Event.UNUSABLE: (State.RESTORING, Action.RESTORE),
    Event.INEXACT: (State.STOPPED, Action.STOP),
    Event.FATAL: (State.ENDED, Action.END_PROCESS),
}
_GONE = {Event.SUSPENDED: (State.SUSPENDED, _NOTHING), Event.RELEASED: (State.RELEASED, _NOTHING)}

TRANSITIONS: dict[State, dict[Event, tuple[State, Action]]] = {
    State.SUSPENDED: {
        Event.ASSIGNED: (State.RESTORING, Action.RESTORE),
        Event.FATAL: (State.ENDED, Action.END_PROCESS),
        **dict.fromkeys(_ENDS, (State.SUSPENDED, _NOTHING)),
        **_GONE,
    },
    State.RESTORING: {Event.RESTORED: (State.COUNTING, _NOTHING), **_FAILURES, **_GONE},
    State.COUNTING: {Event.FLUSH: (State.FLUSHING, Action.FLUSH), **_FAILURES, **_GONE},
    State.FLUSHING: {Event.FLUSHED: (State.COUNTING, Action.FLUSH_IF_DUE), **_FAILURES, **_GONE},
    State.STOPPED: {
        Event.ASSIGNED: (State.RESTORING, Action.RESTORE),
        Event.SUSPENDED: (State.STOPPED, _NOTHING),
        Event.RELEASED: (State.RELEASED, _NOTHING),
    },
    State.ENDED: {
        **dict.fromkeys([Event.ASSIGNED, Event.SUSPENDED], (State.ENDED, _NOTHING)),
        Event.RELEASED: (State.RELEASED, _NOTHING),
    },
    State.RELEASED: {
        Event.FATAL: (State.RELEASED, Action.END_PROCESS),
        **dict.fromkeys(_ENDS, (State.RELEASED, _NOTHING)),
    },
}

PHASES: dict[State, PartitionState] = {
    State.SUSPENDED: "restoring",
    State.RESTORING: "restoring",
    State.COUNTING: "counting",
    State.FLUSHING: "counting",
    State.STOPPED: "stopped",
    State.ENDED: "stopped",
    State.RELEASED: "released",
}
"""What an observer is told of a state."""


def after(state: State, event: Event) -> tuple[State, Action]:
    """The state that follows, and what has to be done. Raises AssertionError where the event cannot happen in this state."""
    following = TRANSITIONS[state].get(event)
    assert following is not None, f"{event.name} cannot happen to a partition that is {state.name}"
    return following


def event_of(error: Exception, rebuilds: int) -> Event:
    """What the failure of a flush or restore means.

    Args:
        error: its reason.
        rebuilds: attempts in a row to rebuild the store so far.
    """
    match error:
        case PartitionsLostError() | FlushUnknownError() | ForeignRecordsError() | BrokerUnavailableError():
            # The restore waits for a live membership, and ends where the group says that the partition is lost for good.
            return Event.DOUBT
        case ChangelogReplacedError():
            return Event.UNUSABLE
        case StoreCorruptedError():
            return Event.UNUSABLE if rebuilds < MAX_REBUILDS else Event.FATAL
        case InexactError():
            return Event.INEXACT
        case _:
            return Event.FATAL
