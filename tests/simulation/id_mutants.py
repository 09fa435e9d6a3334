"""The mutants of ids of records: each function patches a part of rule 21 out of `tables`."""

from collections.abc import Sequence

import pytest

from tables.model import record_ids
from tables.model.record_ids import IdState
from tables.model.records import RecordBatch
from tables.model.replay import StoredRows
from tables.model.rows import Marker
from tables.partitions import counting as counting_module
from tables.partitions.repeats import Recognised, _Firsts, recognised

Patch = pytest.MonkeyPatch


class _Nothing:
    """A store without rows."""

    def get_many(self, words: Sequence[bytes]) -> list[bytes | None]:
        return [None] * len(words)


def repeats_recognised_within_a_buffer_alone(patch: Patch) -> None:
    """The rows of ids are not looked up."""

    def alone(
        batches: Sequence[RecordBatch], ids: IdState | None, stored: StoredRows, *, span: int
    ) -> Recognised:
        return recognised(batches, ids, _Nothing(), span=span)

    patch.setattr(counting_module, "recognised", alone)


def every_known_id_taken_for_a_repeat(patch: Patch) -> None:
    """A record whose id has a row is left out, also where the row is its own, from a torn flush."""

    def is_unknown(firsts: _Firsts, generation: int, record_id: bytes, offset: int) -> bool:
        key = record_ids.id_key(generation, record_id)
        known = key in firsts._known or key in firsts.new
        return is_first(firsts, generation, record_id, offset) and not known

    is_first = _Firsts.is_first
    patch.setattr(_Firsts, "is_first", is_unknown)


def the_generation_before_not_asked(patch: Patch) -> None:
    """A repeat counts if its first record is in the generation before."""

    def in_its_own(firsts: _Firsts, generation: int, record_id: bytes, offset: int) -> bool:
        return firsts.first_of(record_ids.id_key(generation, record_id), offset) == offset

    patch.setattr(_Firsts, "is_first", in_its_own)


def numbers_of_ids_forgotten_by_the_marker(patch: Patch) -> None:
    """Generations begin anew with each flush."""
    patch.setattr(IdState, "advanced", lambda ids, _: ids)


def ids_removed_a_generation_too_early(patch: Patch) -> None:
    """The generation before is removed, although it is still asked."""

    def too_far(ids: IdState) -> tuple[bytes, bytes]:
        return record_ids.ID_BYTE, record_ids.generation_prefix(ids.generation_of(ids.records))

    patch.setattr(IdState, "dead_range", property(too_far))


def ids_removed_by_the_marker_that_is_being_written(patch: Patch) -> None:
    """Rows are removed that count no longer after a flush which may be torn."""
    dead_ranges = Marker.dead_ranges

    def ahead(marker: Marker) -> list[tuple[bytes, bytes]]:
        ids = marker.ids
        if ids is None:
            return dead_ranges(marker)
        return dead_ranges(_with(marker, ids.advanced(ids.span)))

    patch.setattr(Marker, "dead_ranges", ahead)


def _with(marker: Marker, ids: IdState) -> Marker:
    return marker.advanced(marker.position, type(marker.totals)(), marker.windows, ids)
