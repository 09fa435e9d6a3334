"""Finds the ids of records (`tables.model.record_ids`) in their headers, at no cost for a Kafka batch in which no record has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from tables.model.names import ID_HEADER
from tables.model.record_ids import MOST_ID_BYTES

HEADER_NAME: Final = ID_HEADER.encode()

_LENGTH: Final = 2 * len(HEADER_NAME)
"""The byte before the name of the header: its length as message format 2 encodes numbers below 64."""
_SECOND_BYTE: Final = HEADER_NAME[0]


def may_have_ids(unpacked: memoryview) -> bool:
    """Return whether a batch of message format 2, unpacked, may have a record with an id.

    The name of the header is looked for in all bytes at once, so that no record has to be asked (44 µs per MiB). It may be found in a
    value, too, which does no harm.
    """
    data = np.frombuffer(unpacked, np.uint8)
    places = np.flatnonzero(data[:-1] == _LENGTH)
    places = places[data[places + 1] == _SECOND_BYTE]
    end = len(HEADER_NAME) + 1
    return any(unpacked[place + 1 : place + end] == HEADER_NAME for place in places.tolist())


def id_in(headers: Sequence[tuple[str, bytes | None]]) -> bytes | None:
    """Return the id that the headers of a record name; None = there is none. Of several headers of the name the last one is meant."""
    return checked_id(next((value for name, value in reversed(headers) if name == ID_HEADER), None))


def checked_id(value: bytes | None) -> bytes | None:
    """Return the value of the header if it can be an id, otherwise None: such a record counts as one without an id."""
    return value if value is not None and 0 < len(value) <= MOST_ID_BYTES else None
