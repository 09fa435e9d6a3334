"""The tally of record batches: counts the words of the records, and what became of every record.

Only the few records that a policy applies to are processed one by one. All other values stay in Arrow arrays, whose functions release
the GIL, and a policy about words looks at each distinct word once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.text.choices import Policies
from agents.text.grouped_words import GroupedWords, confirmed, grouped_by_window
from agents.text.record_times import RecordTimes, record_times
from agents.text.tokenizer import MAX_GROWTH, CountedWords, Tokenizer
from agents.text.value_format import INVALID_JSON, MISSING_TEXT, ValueFormat
from tables.model.records import DeadLetter, Int64Array, RecordBatch
from tables.model.tally import Tally, Totals, Windowed
from tables.model.windowing import LEFT_OUT, Group, Grouped
from tables.model.windows import WindowState

NULL: Final = "null"
INVALID_UTF8: Final = "invalid_utf8"
OVERSIZED_WORD: Final = "oversized_word"
OVERSIZED_RECORD: Final = "oversized_record"

# All reasons for which a record is skipped or dead-lettered. `tables.model.windowing.LEFT_OUT` has those for which a copy is sent.
REASONS: Final = (NULL, INVALID_UTF8, INVALID_JSON, MISSING_TEXT, OVERSIZED_WORD, OVERSIZED_RECORD)

# All reasons for which a word of a counted record is left out.
DROP_REASONS: Final = ("stop_word", "too_short", "too_long", "empty", "oversized")

# A range of at most this many records is no longer halved to find the invalid records: each record is checked.
_FEW_RECORDS: Final = 32


@dataclass(frozen=True, slots=True)
class _Records:
    """Values that are still to be counted, each with the index of its record among all records of the tally."""

    values: pa.Array
    indices: Int64Array

    def without(self, positions: Sequence[int] | Int64Array) -> _Records:
        kept = np.ones(len(self.indices), np.bool_)
        kept[positions] = False
        return _Records(self.values.filter(pa.array(kept)), self.indices[kept])

    def of(self, group: Group) -> _Records:
        """Return the values whose records are in `group`."""
        if group.indices is None or not len(self.indices):
            return self
        # Both are ascending. With many groups it matters that each takes no longer than its own records.
        places = np.searchsorted(self.indices, group.indices)
        places[places == len(self.indices)] = 0
        places = places[self.indices[places] == group.indices]
        return _Records(self.values.take(pa.array(places)), self.indices[places])


class _Rejects:
    """Collects the records that a policy skips (number by reason) or dead-letters (reason by record index)."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self.dead: dict[int, str] = {}
        self._skipped_at: list[Sequence[int] | Int64Array] = []

    def add(self, policy: str, reason: str, indices: Sequence[int] | Int64Array) -> None:
        if policy == "dead_letter":
            self.dead.update((int(index), reason) for index in indices)
        elif len(indices):
            self.skipped[reason] += len(indices)
            self._skipped_at.append(indices)

    def add_copies(self, copies: dict[int, str]) -> None:
        """Add copies of records that are left out of a window (reason by record index), but not of those that are skipped."""
        if copies:
            for indices in self._skipped_at:
                for index in indices:
                    copies.pop(int(index), None)
            self.dead = copies | self.dead


class RecordTally:
    """Counts the words of record batches; implements `tables.model.tally.TallyRecords`. May be called in several threads."""

    def __init__(self, tokenizer: Tokenizer, value_format: ValueFormat, policies: Policies) -> None:
        self._tokenizer = tokenizer
        self._format = value_format
        self._policies = policies

    @property
    def identity(self) -> str:
        """Name of the rules that make words of values: the tokeniser's identity, and the format's unless the format is text."""
        tokenizer, value_format = self._tokenizer.identity, self._format.identity
        return tokenizer if value_format == "text" else f"{tokenizer} {value_format}"

    def __call__(self, batches: Sequence[RecordBatch], windows: WindowState | None = None) -> Tally:
        """Return the tally of batches, see `TallyRecords`. Raise `pyarrow.ArrowInvalid` if their values exceed 2 GiB together."""
        values = pa.concat_arrays([pa.array([], pa.binary()), *(batch.values for batch in batches)])
        rejects = _Rejects()
        oversized = self._oversized(batches, values)
        records = _Records(values, np.arange(len(values)))
        if oversized:
            rejects.add(self._policies.on_oversized_record, OVERSIZED_RECORD, list(oversized))
            records = records.without(list(oversized))
        times = None
        if windows is not None:
            times = record_times(windows.time_source, batches, values, oversized)
        texts = self._texts(self._not_null(records, rejects), rejects, times)
        grouped = None
        if windows is not None and times is not None:
            grouped = grouped_by_window(batches, windows, times.times)
        groups = [Group(None, ())] if grouped is None or not grouped.groups else grouped.groups
        counted = GroupedWords(groups, [self._count(texts.of(group), rejects) for group in groups])
        words, counts = counted.in_all()
        skipped, dead = rejects.skipped.total(), len(rejects.dead)
        totals = Totals(
            records=len(values),
            counted=len(values) - skipped - dead,
            words=int(counts.sum()),
            skipped=dict(rejects.skipped),
            dead_lettered=dict(Counter(rejects.dead.values())),
            dropped_words=counted.dropped(),
        )
        windowed = None
        if grouped is not None and windows is not None:
            totals = replace(totals, untimed=grouped.untimed, late=grouped.late)
            windowed = Windowed(counted.panes(), grouped.clock, confirmed(windows, grouped, batches))
            rejects.add_copies(self._copies(grouped))
        letters = _dead_letters(batches, values, rejects.dead, oversized, times)
        return Tally(words, counts, totals, letters, windowed)

    def _copies(self, grouped: Grouped) -> dict[int, str]:
        """Return the reason of each record, by index, of which a copy is sent because it is left out of a window."""
        copied: dict[int, str] = {}
        if self._policies.on_bad_time == "dead_letter":
            # Whether a jump is confirmed is known when the record is gone. So its copy is sent while nobody knows.
            copied = dict.fromkeys(np.flatnonzero(grouped.unconfirmed).tolist(), "jump")
            bad = np.flatnonzero((grouped.reasons != 0) & (grouped.reasons != LEFT_OUT.index("late")))
            copied |= {int(index): LEFT_OUT[grouped.reasons[index]] for index in bad}
        if self._policies.on_late == "dead_letter":
            copied |= dict.fromkeys(
                np.flatnonzero(grouped.reasons == LEFT_OUT.index("late")).tolist(), "late"
            )
        return copied

    def _oversized(self, batches: Sequence[RecordBatch], values: pa.BinaryArray) -> dict[int, int]:
        """Return the length in bytes of each value that is too large, by record index.

        The unpacking of fetched batches passes over such values and reports them in `RecordBatch.oversized`. A value that is too large
        and nevertheless present is treated in the same way.
        """
        most = self._policies.max_record_bytes
        found: dict[int, int] = {}
        if values.nbytes > most:
            lengths = pc.binary_length(values).fill_null(0)
            found = {int(i): lengths[i].as_py() for i in np.flatnonzero(pc.greater(lengths, most))}
        start = 0
        for batch in batches:
            if batch.oversized:
                lengths_by_index = (
                    batch.oversized.get(batch.offset_of(i)) for i in range(batch.record_count)
                )
                found |= {start + i: length for i, length in enumerate(lengths_by_index) if length}
            start += batch.record_count
        return found

    def _not_null(self, records: _Records, rejects: _Rejects) -> _Records:
        if not records.values.null_count:
            return records
        nulls = np.flatnonzero(records.values.is_null())
        if self._policies.on_null != "count":
            rejects.add(self._policies.on_null, NULL, records.indices[nulls])
        return records.without(nulls)

    def _texts(self, records: _Records, rejects: _Rejects, times: RecordTimes | None) -> _Records:
        records = self._decoded(records, rejects)
        found = self._format.texts(records.values, None if times is None else times.pointer)
        if times is not None:
            times.put(records.indices, found.times)
        for reason, policy in (
            (INVALID_JSON, self._policies.on_invalid_json),
            (MISSING_TEXT, self._policies.on_missing_text),
        ):
            positions = [position for position, why in found.unreadable if why == reason]
            rejects.add(policy, reason, records.indices[positions])
        texts = _Records(found.texts, records.indices)
        return texts.without([position for position, _ in found.unreadable]) if found.unreadable else texts

    def _decoded(self, records: _Records, rejects: _Rejects) -> _Records:
        invalid = _invalid_utf8(records.values)
        if not invalid:
            return _Records(records.values.cast(pa.string()), records.indices)
        if self._policies.on_invalid_utf8 == "replace":
            mask = np.zeros(len(records.values), np.bool_)
            mask[invalid] = True
            readings = [
                records.values[position].as_py().decode("utf-8", "replace").encode() for position in invalid
            ]
            values = pc.replace_with_mask(records.values, pa.array(mask), pa.array(readings, pa.binary()))
            return _Records(values.cast(pa.string()), records.indices)
        rejects.add(self._policies.on_invalid_utf8, INVALID_UTF8, records.indices[invalid])
        valid = records.without(invalid)
        return _Records(valid.values.cast(pa.string()), valid.indices)

    def _count(self, texts: _Records, rejects: _Rejects) -> CountedWords:
        policies = self._policies
        counted = self._tokenizer.count(texts.values)
        oversized = pc.greater(pc.binary_length(counted.words), policies.max_word_bytes)
        if policies.on_oversized_word == "dead_letter" and pc.any(oversized).as_py():
            positions = self._with_oversized_words(texts.values)
            rejects.add(policies.on_oversized_word, OVERSIZED_WORD, texts.indices[positions])
            counted = self._tokenizer.count(texts.without(positions).values)
        else:
            counted = counted.without(oversized, "oversized")
        if policies.on_empty_word == "skip":
            counted = counted.without(pc.equal(counted.words, ""), "empty")
        return counted

    def _with_oversized_words(self, texts: pa.StringArray) -> list[int]:
        longest = self._policies.max_word_bytes
        suspects = np.flatnonzero(pc.greater(pc.binary_length(texts), longest // MAX_GROWTH))
        return [
            position
            for position in suspects.tolist()
            if any(len(word.encode()) > longest for word in self._tokenizer.tokens(texts[position].as_py()))
        ]


def _invalid_utf8(values: pa.BinaryArray, start: int = 0) -> list[int]:
    """Return the positions of the values that are not UTF-8, found by halving; the first value has position `start`."""
    try:
        values.cast(pa.string())
    except pa.ArrowInvalid:
        if len(values) > _FEW_RECORDS:
            middle = len(values) // 2
            return _invalid_utf8(values[:middle], start) + _invalid_utf8(values[middle:], start + middle)
        return [start + i for i, value in enumerate(values.to_pylist()) if not _is_utf8(value)]
    return []


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _dead_letters(
    batches: Sequence[RecordBatch],
    values: pa.BinaryArray,
    dead: dict[int, str],
    oversized: dict[int, int],
    times: RecordTimes | None,
) -> list[DeadLetter]:
    if not dead:
        return []
    starts = np.cumsum([0, *(batch.record_count for batch in batches)])
    letters = []
    for index in sorted(dead):
        place = int(np.searchsorted(starts, index, side="right")) - 1
        offset = batches[place].offset_of(index - int(starts[place]))
        left_out = oversized.get(index, 0)
        value = None if left_out else values[index].as_py()
        time_ms = None if times is None else times.of(index)
        letters.append(DeadLetter(offset, value, dead[index], left_out, time_ms))
    return letters
