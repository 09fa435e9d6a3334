"""Bodies of the answers over HTTP: what the server encodes, its clients decode, and the API's documents describe.

The fields of a class are the members of a JSON object, in this order; those of `Freshness` follow the fields of the classes that have
it. A decoder refuses an object that lacks a member or has another type in its place, and passes over members that it does not know:
a newer worker may send more.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from tables.observer import PartitionState

MOST_WORDS: Final = 1000
"""Words of one answer, at most."""

PROBLEM_TYPE: Final = "urn:problem-type:wordcount:"
"""What the type of each problem begins with; its name follows."""

Count = Annotated[int, Meta(ge=0)]
Occurrences = Annotated[int, Meta(ge=1)]
Offset = Annotated[int, Meta(ge=0)] | None
ByReason = dict[str, Count]
StockCount = dict[str, Occurrences]
"""What `/count/{word}/` answers, as the stock Faust example does: the word as it was asked for, and its count."""

_BY_PARTITION = {"propertyNames": {"pattern": "^[0-9]+$"}}

ProblemType = Annotated[
    str,
    Meta(
        pattern=f"^{PROBLEM_TYPE}[a-z-]+$",
        description=f"`{PROBLEM_TYPE}` and the name of the kind of problem, which stays the same in later versions.",
    ),
]
ProblemTitle = Annotated[str, Meta(description="What kind of problem this is, for people.")]
ProblemStatus = Annotated[int, Meta(ge=400, le=599, description="The status code of the answer.")]
ProblemDetail = Annotated[str, Meta(description="What went wrong this time, and what helps.")]


class Freshness(Struct, frozen=True, kw_only=True):
    """How fresh and how complete an answer is."""

    as_of: Annotated[
        dict[Count, Count],
        Meta(
            description="Partition → next offset to count. The answer holds every record below it and none from it on. To read your "
            "own write, ask until `as_of` of its partition is above its offset. What was answered once is never taken back by a "
            "crash.",
            extra_json_schema=_BY_PARTITION,
        ),
    ]
    complete: Annotated[bool, Meta(description="Whether every partition is in `as_of`.")]
    missing_partitions: Annotated[
        list[Count],
        Meta(
            description="Partitions that are not in `as_of`, ascending; none where their number is not known."
        ),
    ]


class CountedWord(Struct, frozen=True):
    """A word and its count."""

    word: Annotated[str, Meta(description="The word.")]
    count: Annotated[Occurrences, Meta(description="How often the word occurs.")]


class Word(Freshness, frozen=True):
    """The count of a word that occurs."""

    word: Annotated[str, Meta(description="The word, as the tokeniser makes it.")]
    count: Annotated[Occurrences, Meta(description="How often the word occurs.")]


class Words(Freshness, frozen=True):
    """A page of words."""

    words: Annotated[
        list[CountedWord],
        Meta(max_length=MOST_WORDS, description="The words, in the byte order of UTF-8."),
    ]
    next_cursor: Annotated[
        str | None, Meta(description="`cursor` of the next page; null where no word follows.")
    ]


class Top(Freshness, frozen=True):
    """The most frequent words, with exact counts; there is no further page."""

    words: Annotated[
        list[CountedWord],
        Meta(max_length=MOST_WORDS, description="The words: count descending, then word ascending."),
    ]
    exact: Annotated[
        bool, Meta(description="Whether these are certainly the most frequent words, in this order.")
    ]
    max_error: Annotated[
        Count,
        Meta(
            description="How many occurrences more than the last listed word a word that is not listed may have; 0 where `exact`."
        ),
    ]
    next_cursor: Annotated[None, Meta(description="Always null.")]


class Partition(Struct, frozen=True):
    """Where a partition of this worker stands."""

    state: Annotated[PartitionState, Meta(description="What the worker does with the partition.")]
    position: Annotated[Offset, Meta(description="Next offset to count; null where it is not known yet.")]
    highwater: Annotated[
        Offset,
        Meta(description="Offset after the last record of the input; null where it is not known yet."),
    ]
    lag_records: Annotated[
        Offset,
        Meta(description="Offsets between `position` and `highwater`; null where either is."),
    ]


class RecordTotals(Freshness, frozen=True):
    """What became of the records."""

    records: Annotated[Count, Meta(description="Records read.")]
    words: Annotated[Count, Meta(description="Occurrences of words: the sum of all counts.")]
    counted: Annotated[Count, Meta(description="Records whose words were counted.")]
    skipped: Annotated[ByReason, Meta(description="Records that were left out, by reason.")]
    dead_lettered: Annotated[
        ByReason, Meta(description="Records that were sent to the dead-letter topic, by reason.")
    ]
    dropped_words: Annotated[
        ByReason, Meta(description="Occurrences of words that were left out of counted records, by reason.")
    ]


class Stats(RecordTotals, frozen=True, kw_only=True):
    """Totals, where `records` = `counted` + the sums of `skipped` and of `dead_lettered`; and where each partition stands."""

    partitions: Annotated[
        dict[Count, Partition],
        Meta(description="Partition → where it stands.", extra_json_schema=_BY_PARTITION),
    ]


class Liveness(Struct, frozen=True):
    """The process is alive."""

    status: Annotated[Literal["ok"], Meta(description="Always the same.")]


class ReadinessCheck(Struct, frozen=True):
    """One condition of readiness."""

    ok: Annotated[bool, Meta(description="Whether the condition holds.")]
    detail: Annotated[str, Meta(description="What was found, in a few words and without secrets.")]


class Readiness(Struct, frozen=True):
    """Whether the worker is ready to answer, and why."""

    status: Annotated[Literal["ready", "not_ready"], Meta(description="`ready` where every check is `ok`.")]
    checks: Annotated[
        dict[str, ReadinessCheck],
        Meta(description="The checks `broker`, `assignment`, `restored` and `draining`."),
    ]


class Version(Struct, frozen=True):
    """What runs."""

    version: Annotated[str, Meta(description="Version of Wordcount.")]
    python: Annotated[str, Meta(description="Version of Python.")]
    faust: Annotated[str, Meta(description="Version of Faust.")]
    commit: Annotated[str | UnsetType, Meta(description="The commit, where the build knows it.")] = UNSET


class Problem(Struct, frozen=True):
    """What went wrong, as RFC 9457 has it."""

    type: ProblemType
    title: ProblemTitle
    status: ProblemStatus
    detail: ProblemDetail


class UnknownWord(Freshness, frozen=True):
    """The problem of a word that does not occur: RFC 9457, and how fresh and complete that is."""

    type: ProblemType
    title: ProblemTitle
    status: ProblemStatus
    detail: ProblemDetail
    word: Annotated[
        str, Meta(description="The word; as the tokeniser makes it, except for `/count/{word}/`.")
    ]


BODIES: Final = (Word, Words, Top, Stats, Liveness, Readiness, Version, UnknownWord, Problem)
"""All bodies that are objects with known members. Those within them are not listed."""
