"""The mutants of rules of windows that change: each function patches a part of rule 19 out of `tables`."""

import msgspec
import pytest

from tables.model.event_clock import EventClock
from tables.model.windows import CountedSize, WindowRules, WindowState, windows_at
from tables.partitions import counting as counting_module

Patch = pytest.MonkeyPatch


def rules_taken_while_rows_are_ahead(patch: Patch) -> None:
    """Records below rows that were counted by former rules are counted by other ones."""

    def at_once(
        state: WindowState | None, rules: WindowRules, position: int, *, rows_ahead: bool = False
    ) -> WindowState | None:
        return windows_at(state, rules, position)

    patch.setattr(counting_module, "windows_at", at_once)


def a_longer_jump_refutes_the_pending_one(patch: Patch) -> None:
    """The longest jump changes while the records of a jump wait for those that confirm it."""
    ruled_by = WindowState.ruled_by

    def at_once(windows: WindowState, rules: WindowRules, position: int) -> WindowState:
        without_jump = msgspec.structs.replace(windows, clock=EventClock(windows.stream_ms))
        ruled = ruled_by(without_jump, rules, position)
        if ruled is without_jump:
            return windows
        return msgspec.structs.replace(ruled, clock=windows.clock, ruled_clock=windows.clock)

    patch.setattr(WindowState, "ruled_by", at_once)


def rows_come_back_with_their_size(patch: Patch) -> None:
    """A size that was counted before, and then was not, counts what it had."""
    ruled_by = WindowState.ruled_by

    def with_former_rows(windows: WindowState, rules: WindowRules, position: int) -> WindowState:
        sizes = {size.rule.size_s for size in windows.sizes}
        ruled = ruled_by(windows, rules, position)
        changed = tuple(
            size if size.rule.size_s in sizes else CountedSize(size.rule, 0, size.since_ms)
            for size in ruled.sizes
        )
        return msgspec.structs.replace(ruled, sizes=changed)

    patch.setattr(WindowState, "ruled_by", with_former_rows)


def a_longer_retention_brings_windows_back(patch: Patch) -> None:
    """Windows that are gone by former rules, and whose rows are not all removed, are kept once more."""
    ruled_by = WindowState.ruled_by

    def kept_again(windows: WindowState, rules: WindowRules, position: int) -> WindowState:
        ruled = ruled_by(windows, rules, position)
        sizes = tuple(msgspec.structs.replace(size, kept_from_s=0) for size in ruled.sizes)
        return msgspec.structs.replace(ruled, sizes=sizes)

    patch.setattr(WindowState, "ruled_by", kept_again)
