"""Which rules held where, by the markers of a partition: each marker has a history, which continues that of the marker before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tables.model.rows import Marker, encode_marker
from tables.model.windows import WindowRules
from tests.simulation.window_truth import Stretch, TimedRecord, WindowTruth
from tests.simulation.wrong_error import WrongError


class Histories:
    """The truths about the windows of one partition of the input, one for each sequence of rules by which it was ever counted.

    The rules are taken from the markers alone. A marker is known when its flush begins, because its rows come before it.
    """

    def __init__(self) -> None:
        self._records: list[TimedRecord] = []
        nothing = WindowTruth(self._records)
        self._truths: dict[Sequence[Stretch], WindowTruth] = {(): nothing}
        self._by_marker: dict[bytes, WindowTruth] = {}
        self._by_position: dict[int, list[WindowTruth]] = {}

    def add(self, offset: int, time_ms: int, words: Sequence[bytes]) -> None:
        """Take one record of the input."""
        self._records.append(TimedRecord(offset, time_ms, words))

    def announce(self, before: Marker | None, marker: Marker) -> None:
        """Take the marker of a flush that is about to be appended.

        Args:
            before: the marker from whose position on the flush counts; None = there is none.
            marker: the marker.

        Raises:
            WrongError: the marker says that its rules hold from another offset on.
        """
        if (key := _key(marker)) in self._by_marker:
            return
        former = () if before is None else self.of(before).stretches
        rules = WindowRules() if marker.windows is None else marker.windows.rules
        stretches = former
        if rules != (former[-1].rules if former else WindowRules()):
            stretches = (*former, Stretch(before.position if before is not None else marker.origin, rules))
        if marker.windows is not None and marker.windows.ruled_from != stretches[-1].start:
            raise WrongError("rules hold from a position on", f"{marker}, the rules so far are {former}")
        truth = self._truths.setdefault(stretches, WindowTruth(self._records, stretches))
        self._by_marker[key] = truth
        truths = self._by_position.setdefault(marker.position, [])
        if truth not in truths:
            truths.append(truth)

    def of(self, marker: Marker | None) -> WindowTruth:
        """Return the truth by the rules of a marker and of those before it; None = nothing was counted."""
        if marker is None or (marker.position == marker.origin and marker.windows is None):
            return self._truths[()]
        if (truth := self._by_marker.get(_key(marker))) is None:
            raise WrongError("a marker was sent by somebody", f"{marker}")
        return truth

    def at(self, position: int) -> Sequence[WindowTruth]:
        """Return the truths by the rules of all markers with this position."""
        return self._by_position.get(position) or [self._truths[()]]

    def counts(self, key: bytes, upto: int) -> set[int]:
        """Return how often the word of `key`, the key of a word in a window, occurs below `upto`, in any history."""
        return {truth.count(key, upto) for truth in self.all()}

    def all(self) -> Iterable[WindowTruth]:
        return self._truths.values()


def _key(marker: Marker) -> bytes:
    """Return what is equal for markers of the same flush, whoever repeats them."""
    return encode_marker(
        msgspec.structs.replace(marker, group="", topic_id="", changelog_id="", prior_position=0)
    )
