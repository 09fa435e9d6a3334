"""Ids of records: what makes a text that a client sends again the same record, and to which partition it goes.

A client that has no answer, or a 503, sends its texts again with the same `Idempotency-Key`. The records then have the same ids and
are in the same partition, which counts the first record of an id (`tables.model.record_ids`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

ID_BYTES: Final = 16

_LENGTH_BYTES: Final = 4


def record_ids(key: str, texts: Iterable[str]) -> Iterator[bytes]:
    """Return the id of each text of a request: a hash of the request's key, the number of the text in the request, and the text.

    The length stands before each of the three, so that no two of such triples have the same bytes.
    """
    begin = hashlib.sha256(_sized(key.encode()))
    for number, text in enumerate(texts):
        hashed = begin.copy()
        hashed.update(_sized(number.to_bytes(_LENGTH_BYTES, "big")))
        hashed.update(_sized(text.encode()))
        yield hashed.digest()[:ID_BYTES]


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of all texts of a request with this key, from 0 to `partitions` - 1."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest(), "big") % partitions


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(_LENGTH_BYTES, "big") + part
