"""States of a partition in this process, and what each event and each failure leads to: one table decides. Pure.

A process owns a partition from the assignment to the release. Meanwhile the partition is restored, counts, flushes, is suspended by a
rebalance, or is stopped. Whatever happens to a partition is an *event*. For a state and an event the table names the next state and
the *action* that `tables.partitions.actions` takes. A pair that is not in the table is a mistake of the program and raises
AssertionError.

Two rules follow from the table, and tests check them:

1. A task (a flush or a restore) runs only in the states `FLUSHING` and `RESTORING`, so that two tasks never overlap.
2. A task that a suspension or release cancelled may still end in any way; its end starts no new task.
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
"""Rebuilds in a row of a store that is corrupted again each time. Then the disk cannot be trusted, and the process ends."""


class State(Enum):
    """State of a partition.

    `SUSPENDED`: the store is open and no task runs, because a rebalance is under way; `RESTORING`: the store is brought to the end of
    the changelog; `COUNTING`: records are taken in; `FLUSHING`: records are taken in and a flush is under way; `STOPPED`: an
    `InexactError` stopped the partition until the next assignment; `ENDED`: an error ends the process; `RELEASED`: this process no
    longer owns the partition.
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

    `ASSIGNED`: the group gave the partition to this process, or left it here; `FLUSH`: the buffer is due; `FLUSHED` and `RESTORED`:
    the task under way has succeeded; `EXAMINE`: the changelog may have records that the store does not have, and has to be examined;
    `UNUSABLE`: the store has to be thrown away and rebuilt; `INEXACT`: exact counting cannot go on; `FATAL`: the process cannot go on;
    `SUSPENDED`: a rebalance or a stop of the process begins; `RELEASED`: the process gives the partition away.
    """

    ASSIGNED = auto()
    FLUSH = auto()
    FLUSHED = auto()
    RESTORED = auto()
    EXAMINE = auto()
    UNUSABLE = auto()
    INEXACT = auto()
    FATAL = auto()
    SUSPENDED = auto()
    RELEASED = auto()


class Action(Enum):
    """What `tables.partitions.actions` does when a partition enters a state."""

    NOTHING = auto()
    RESTORE = auto()
    FLUSH = auto()
    FLUSH_IF_DUE = auto()
    STOP = auto()
    END_PROCESS = auto()


_NOTHING = Action.NOTHING
_ENDS = frozenset({Event.FLUSHED, Event.RESTORED, Event.EXAMINE, Event.UNUSABLE, Event.INEXACT})
"""Events with which a task ends while the process goes on."""

_FAILURES = {
    Event.EXAMINE: (State.RESTORING, Action.RESTORE),
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
"""Name of each state as observers, metrics and HTTP show it."""


def after(state: State, event: Event) -> tuple[State, Action]:
    """Return the next state and the action to take. Raises AssertionError if `event` cannot happen in `state`."""
    following = TRANSITIONS[state].get(event)
    assert following is not None, f"{event.name} cannot happen to a partition that is {state.name}"
    return following


def event_of(error: Exception, rebuilds: int) -> Event:
    """Return the event that the failure of a flush, restore or read leads to.

    Args:
        error: why it failed.
        rebuilds: how often in a row the store was rebuilt after corruption (>= 0).
    """
    match error:
        case PartitionsLostError() | FlushUnknownError() | ForeignRecordsError() | BrokerUnavailableError():
            # The restore is repeated until the membership is live. If the group revokes the partition, the rebalance ends the restore.
            return Event.EXAMINE
        case ChangelogReplacedError():
            return Event.UNUSABLE
        case StoreCorruptedError():
            return Event.UNUSABLE if rebuilds < MAX_REBUILDS else Event.FATAL
        case InexactError():
            return Event.INEXACT
        case _:
            return Event.FATAL
