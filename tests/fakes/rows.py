"""One row as bytes; the product packs many at once."""

from __future__ import annotations


def pack_row(count: int, upto: int) -> bytes:
    """Return one row value."""
    return count.to_bytes(8, "big", signed=True) + upto.to_bytes(8, "big", signed=True)
