"""What a log says of windows after a flush: what nobody would notice otherwise, and what an operator has to know of."""

from __future__ import annotations

import structlog

from tables.model.durations import duration_text
from tables.model.windows import WindowState

_log = structlog.get_logger(__name__)


def log_windows(partition: int, before: WindowState | None, after: WindowState | None) -> None:
    """Log that a flush moved the stream time by more than the longest jump, or that its rules keep windows for less than those before.

    Args:
        partition: number of the partition.
        before: windows before the flush; None = the partition counted none.
        after: windows after the flush.
    """
    if before is None or after is None:
        return
    if before.stream_ms is not None and after.stream_ms is not None:
        ahead_ms = after.stream_ms - before.stream_ms
        if ahead_ms > after.max_jump_ms:
            _log.info(
                "stream time moved ahead by more than the longest jump",
                partition=partition,
                stream_ms=after.stream_ms,
                by=duration_text(ahead_ms // 1000),
            )
    for size in after.sizes:
        former = before.size(size.rule.size_s)
        if former is not None and size.rule.retention_s < former.rule.retention_s:
            _log.warning(
                "windows are kept for less than before, and older ones are removed",
                partition=partition,
                size=duration_text(size.rule.size_s),
                retention=duration_text(size.rule.retention_s),
                before=duration_text(former.rule.retention_s),
            )
