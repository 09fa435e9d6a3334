"""The terms of a question over HTTP: whole or partial, how far behind, which records the answer has to cover, how long to wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from app.reads.answers import WHOLE, Terms
from app.web.parameters import truth, whole_number
from app.web.problems import OutOfRangeError

NAMES: Final = ("allow_partial", "max_lag_records", "after", "wait_ms")
"""Query parameters that every resource with counts takes."""

LASTING: Final = ("allow_partial", "max_lag_records")
"""Those of `NAMES` that say something of each of many answers, and not of one record."""

MOST_LAG_RECORDS: Final = 1_000_000_000_000
MOST_WAIT_MS: Final = 60_000
MOST_PARTITION: Final = 2**31 - 1
MOST_OFFSET: Final = 2**63 - 1
AFTER_PATTERN: Final = "[0-9]{1,10}:[0-9]{1,19}(,[0-9]{1,10}:[0-9]{1,19})*"


def terms_of(parameters: dict[str, str]) -> Terms:
    """Return the terms that a query's parameters demand.

    Raises:
        OutOfRangeError: one of the parameters in `NAMES` has a value that cannot be used, or `wait_ms` has no `after` to wait for.
    """
    if parameters.keys().isdisjoint(NAMES):
        return WHOLE
    lag = None
    if "max_lag_records" in parameters:
        lag = whole_number(parameters, "max_lag_records", 0, MOST_LAG_RECORDS, least=0)
    wait_ms = whole_number(parameters, "wait_ms", 0, MOST_WAIT_MS, least=0)
    if "wait_ms" in parameters and "after" not in parameters:
        raise OutOfRangeError(
            f'"wait_ms" is "{wait_ms}" without "after", so that there is nothing to wait for',
            'give partition:offset of the awaited records in "after", or leave "wait_ms" out',
        )
    return Terms(
        allow_partial=truth(parameters, "allow_partial", default=False),
        max_lag_records=lag,
        after=offsets_of(parameters["after"], "after") if "after" in parameters else {},
        wait_s=wait_ms / 1000,
    )


def offsets_text(offsets: Mapping[int, int]) -> str:
    """Return partition -> offset as a text like "0:123,3:456", partitions ascending."""
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))


def offsets_of(text: str, name: str) -> dict[int, int]:
    """Return partition -> offset from a text like "0:123,3:456"; `name` = the parameter or header that has it, for errors.

    Raises:
        OutOfRangeError: the text has another form, a partition twice, or a number that is too large.
    """
    shown = f'"{name}" is "{text[:100]}"'
    if not re.fullmatch(AFTER_PATTERN, text):
        raise OutOfRangeError(
            shown, 'give partition:offset of each record, with commas between, like "0:123,3:456"'
        )
    offsets: dict[int, int] = {}
    for part in text.split(","):
        partition, offset = map(int, part.split(":"))
        if partition in offsets:
            raise OutOfRangeError(
                f"{shown}, with partition {partition} twice", "give the largest offset of each partition"
            )
        if partition > MOST_PARTITION or offset > MOST_OFFSET:
            raise OutOfRangeError(
                shown, f"a partition is at most {MOST_PARTITION}, an offset at most {MOST_OFFSET}"
            )
        offsets[partition] = offset
    return offsets
