"""The table of states and events of a partition keeps the promises in its module's docstring."""

import pytest

from tables.errors import (
    BrokerUnavailableError,
    ChangelogReplacedError,
    ConfigurationError,
    FlushUnknownError,
    ForeignRecordsError,
    InexactError,
    PartitionsLostError,
    StateLockedError,
    StoreCorruptedError,
    StoreFullError,
    StoreUnavailableError,
)
from tables.partitions.life import MAX_REBUILDS, PHASES, TRANSITIONS, Action, Event, State, after, event_of

WITH_TASK = {State.FLUSHING, State.RESTORING}
STARTS = {Action.FLUSH, Action.RESTORE}
TASK_ENDS = {Event.FLUSHED, Event.RESTORED, Event.EXAMINE, Event.UNUSABLE, Event.INEXACT, Event.FATAL}


def test_a_task_is_started_exactly_where_a_state_with_one_is_entered() -> None:
    for state, events in TRANSITIONS.items():
        for event, (following, action) in events.items():
            assert (following in WITH_TASK) == (action in STARTS), (state, event)


def test_a_state_with_a_task_is_left_by_its_end_or_by_what_cancels_it() -> None:
    for state in WITH_TASK:
        assert set(TRANSITIONS[state]) <= TASK_ENDS | {Event.SUSPENDED, Event.RELEASED}


@pytest.mark.parametrize("state", [State.SUSPENDED, State.RELEASED])
@pytest.mark.parametrize("event", sorted(TASK_ENDS - {Event.FATAL}, key=lambda event: event.name))
def test_however_a_cancelled_task_ends_it_starts_nothing(state: State, event: Event) -> None:
    assert after(state, event) == (state, Action.NOTHING)


@pytest.mark.parametrize("state", set(State) - {State.STOPPED, State.ENDED})
def test_a_fatal_error_ends_the_process_whatever_goes_on(state: State) -> None:
    assert after(state, Event.FATAL)[1] is Action.END_PROCESS


@pytest.mark.parametrize("state", set(State) - {State.RELEASED})
def test_every_partition_can_be_suspended_and_released(state: State) -> None:
    assert after(state, Event.RELEASED) == (State.RELEASED, Action.NOTHING)
    assert after(state, Event.SUSPENDED)[0] not in WITH_TASK


def test_whatever_is_assigned_and_does_not_end_the_process_is_restored_first() -> None:
    assert {state for state in State if Event.ASSIGNED in TRANSITIONS[state]} == {
        State.SUSPENDED,
        State.STOPPED,
        State.ENDED,
    }
    for state in (State.SUSPENDED, State.STOPPED):
        assert after(state, Event.ASSIGNED) == (State.RESTORING, Action.RESTORE)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.RESTORING, Event.ASSIGNED),
        (State.FLUSHING, Event.FLUSH),
        (State.RESTORING, Event.FLUSH),
        (State.COUNTING, Event.RESTORED),
        (State.RELEASED, Event.ASSIGNED),
    ],
)
def test_what_cannot_happen_is_an_assertion_that_names_both(state: State, event: Event) -> None:
    with pytest.raises(AssertionError, match=f"{event.name} .* {state.name}"):
        after(state, event)


def test_every_state_has_a_phase_and_a_row() -> None:
    assert set(PHASES) == set(TRANSITIONS) == set(State)


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (PartitionsLostError(""), Event.EXAMINE),
        (FlushUnknownError(""), Event.EXAMINE),
        (ForeignRecordsError(""), Event.EXAMINE),
        (BrokerUnavailableError(""), Event.EXAMINE),
        (ChangelogReplacedError(""), Event.UNUSABLE),
        (StoreCorruptedError(""), Event.UNUSABLE),
        (InexactError(""), Event.INEXACT),
        (StoreFullError(""), Event.FATAL),
        (StoreUnavailableError(""), Event.FATAL),
        (StateLockedError(""), Event.FATAL),
        (ConfigurationError(""), Event.FATAL),
        (MemoryError(), Event.FATAL),
        (RuntimeError("unexpected"), Event.FATAL),
    ],
)
def test_each_error_means_one_event(error: Exception, event: Event) -> None:
    assert event_of(error, 0) is event


def test_a_store_that_is_corrupted_again_and_again_ends_the_process() -> None:
    assert event_of(StoreCorruptedError(""), MAX_REBUILDS - 1) is Event.UNUSABLE
    assert event_of(StoreCorruptedError(""), MAX_REBUILDS) is Event.FATAL
