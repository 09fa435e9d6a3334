"""Bodies of the answers about windows over HTTP; as in `app.bodies`. Times are RFC 3339 in UTC, such as `2026-01-01T00:05:00Z`."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from app.bodies import BY_PARTITION, MOST_WORDS, ByReason, Count, CountedWord, Freshness, Occurrences

MOST_POINTS: Final = 10_000
"""Most windows in one series."""

Time = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
Size = Annotated[
    str,
    Meta(description="Size of the windows: `1m`; `1h/5m` for windows of an hour that begin every 5 minutes."),
]
Start = Annotated[Time, Meta(description="Beginning of the window.")]
End = Annotated[Time, Meta(description="End of the window, exclusive.")]
IsFinal = Annotated[
    bool,
    Meta(
        description="Whether the window takes no more records in any partition, because its grace has passed."
    ),
]
Whole = Annotated[
    bool,
    Meta(
        description="Whether all records of the window are counted: it began after its size was first counted."
    ),
]


HeldBackBy = Annotated[
    dict[Count, Time | None],
    Meta(
        description="Partition in which it may take records still → stream time of that partition; null if no record had a time.",
        extra_json_schema=BY_PARTITION,
    ),
]


class WindowSize(Struct, frozen=True):
    """Windows of one size, over all partitions."""

    size: Size
    size_seconds: Annotated[Occurrences, Meta(description="Length of a window.")]
    advance_seconds: Annotated[
        Occurrences, Meta(description="Time from the beginning of a window to that of the next one.")
    ]
    grace_seconds: Annotated[
        Count,
        Meta(description="Time after the end of a window in which late records are still counted in it."),
    ]
    retention_seconds: Annotated[Count, Meta(description="Time for which a window is kept after its grace.")]
    whole_from: Annotated[
        Time | None, Meta(description="Windows that begin before are not whole; null if all are whole.")
    ]
    kept_from: Annotated[Time, Meta(description="Beginning of the oldest window that is kept.")]
    newest: Annotated[
        Time | None,
        Meta(description="Beginning of the newest window that has begun; null if none has begun."),
    ]
    newest_closed: Annotated[
        Time | None,
        Meta(
            description="Beginning of the newest window that is final in all partitions that have a time; null if there is none."
        ),
    ]
    held_back_by: Annotated[
        dict[Count, Time | None],
        Meta(
            description="Partition in which fewer windows are final than in others → its stream time; null if no record had a time.",
            extra_json_schema=BY_PARTITION,
        ),
    ]
    open: Annotated[
        Count,
        Meta(description="Number of windows that have begun and are not final in all these partitions."),
    ]


class PendingJump(Struct, frozen=True):
    """Records in a row that are too far ahead of the stream time, until the log confirms or refutes them."""

    first: Annotated[Time, Meta(description="Their smallest time.")]
    last: Annotated[Time, Meta(description="Their largest time.")]
    records: Annotated[Occurrences, Meta(description="Their number.")]


class PartitionTime(Struct, frozen=True):
    """Event time of a partition."""

    stream_time: Annotated[
        Time | None, Meta(description="Largest time of the records so far; null if no record had a time.")
    ]
    jump: Annotated[
        PendingJump | None,
        Meta(description="Records whose time is not confirmed yet; null if there are none."),
    ]
    late: Annotated[
        ByReason, Meta(description="Size → records that came too late for their window of that size.")
    ]
    untimed: Annotated[ByReason, Meta(description="Reason → records that are in no window.")]


class Windows(Freshness, frozen=True):
    """The windows that are counted."""

    sizes: Annotated[list[WindowSize], Meta(description="The sizes, ascending.")]
    partitions: Annotated[
        dict[Count, PartitionTime],
        Meta(description="Partition → its event time.", extra_json_schema=BY_PARTITION),
    ]


class WindowTop(Freshness, frozen=True):
    """The most frequent words of a window, or of adjacent windows together, with exact counts."""

    words: Annotated[
        list[CountedWord],
        Meta(max_length=MOST_WORDS, description="The words: count descending, then word ascending."),
    ]
    exact: Annotated[
        bool, Meta(description="Whether these are certainly the most frequent words, in this order.")
    ]
    max_error: Annotated[Count, Meta(description="As in `Top`.")]
    size: Size
    start: Start
    end: End
    final: IsFinal
    whole: Whole
    final_partitions: Annotated[
        list[Count], Meta(description="Partitions in which the window takes no more records, ascending.")
    ]
    held_back_by: HeldBackBy
    next_cursor: Annotated[None, Meta(description="Always null.")]


class WindowCount(Struct, frozen=True):
    """How often a word occurs in one window."""

    start: Start
    count: Annotated[Count, Meta(description="How often the word occurs in it; 0 = it does not occur.")]


class WordWindows(Freshness, frozen=True):
    """The counts of a word in adjacent windows."""

    word: Annotated[str, Meta(description="The word, normalised by the tokeniser.")]
    size: Size
    windows: Annotated[
        list[WindowCount],
        Meta(max_length=MOST_POINTS, description="The windows, oldest first, none left out."),
    ]
    final_until: Annotated[
        Time | None,
        Meta(description="Windows that end by then take no more records in any partition; null if all may."),
    ]
    whole_from: Annotated[
        Time | None, Meta(description="Windows that begin before are not whole; null if all are whole.")
    ]


class TrendingWord(Struct, frozen=True):
    """A word that occurs far more often than before."""

    word: Annotated[str, Meta(description="The word.")]
    count: Annotated[Occurrences, Meta(description="How often it occurs in the window.")]
    baseline: Annotated[
        float, Meta(ge=0, description="How often it occurs in a window of the baseline, on average.")
    ]
    score: Annotated[
        float, Meta(ge=0, description="By how many standard deviations the count is above the baseline.")
    ]


class Trending(Freshness, frozen=True):
    """The words that are furthest above their own baseline, with exact counts."""

    words: Annotated[
        list[TrendingWord],
        Meta(max_length=MOST_WORDS, description="The words: score descending, then word ascending."),
    ]
    exact: Annotated[
        bool,
        Meta(description="Whether these are certainly the words with the highest scores, in this order."),
    ]
    max_score: Annotated[
        float, Meta(ge=0, description="Highest possible score of a word that is not listed; 0 if `exact`.")
    ]
    size: Size
    start: Start
    end: End
    final: IsFinal
    whole: Whole
    held_back_by: HeldBackBy
    baseline_start: Annotated[Time, Meta(description="Beginning of the baseline, which ends at `start`.")]
    baseline_windows: Annotated[Occurrences, Meta(description="Windows of the baseline.")]


WINDOW_BODIES: Final = (Windows, WindowTop, WordWindows, Trending)
"""The bodies about windows whose members are fixed."""
