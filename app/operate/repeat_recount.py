"""The independent recount of repeats: which records of one partition have the id of an earlier one, taken record by record."""

from __future__ import annotations

from tables.model.record_ids import SPAN, IdState


class RepeatRecount:
    """Tells the repeats of one partition, from its first record on. The ids of two generations are held in memory, 200 MB at most.

    Args:
        ids: ids of the marker, which say how many records are a generation; None = no record had an id.
    """

    def __init__(self, ids: IdState | None = None) -> None:
        self._span = SPAN if ids is None else ids.span
        self._records = 0
        self._former: set[bytes] = set()
        self._present: set[bytes] = set()

    def is_repeat(self, record_id: bytes | None) -> bool:
        """Return whether the next record, which has this id or None, repeats an earlier one."""
        if record_id is None:
            return False
        if self._records and self._records % self._span == 0:
            self._former, self._present = self._present, set()
        self._records += 1
        known = record_id in self._present or record_id in self._former
        self._present.add(record_id)
        return known
