"""Bodies of the answers over HTTP that say what went wrong, in the format of RFC 9457; as in `app.bodies`."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from app.bodies import BY_PARTITION, Count, Freshness

PROBLEM_TYPE: Final = "urn:problem-type:wordcount:"
"""The beginning of every problem's `type`; the name of the kind of problem follows."""

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


class Problem(Struct, frozen=True):
    """What went wrong, in the format of RFC 9457."""

    type: ProblemType
    title: ProblemTitle
    status: ProblemStatus
    detail: ProblemDetail


class Incomplete(Problem, frozen=True):
    """The problem of an answer that would leave partitions out, in the format of RFC 9457."""

    missing_partitions: Annotated[
        list[Count],
        Meta(
            description="Partitions that would be left out, ascending; empty while the number of partitions is not known."
        ),
    ]
    reasons: Annotated[
        dict[Count, str],
        Meta(description="Missing partition → why nobody answered for it.", extra_json_schema=BY_PARTITION),
    ]


class BrokenDump(Problem, frozen=True):
    """The last line of a list of words that breaks off: the problem, in the format of RFC 9457, and where to go on."""

    next_cursor: Annotated[
        str | None,
        Meta(
            description="`cursor` with which the list goes on; null if no word was sent, and no `cursor` was given."
        ),
    ]


class NotYetCounted(Problem, frozen=True):
    """The problem of records that were not counted within the time that the client would wait, in the format of RFC 9457."""

    as_of: Annotated[
        dict[Count, Count],
        Meta(
            description="Partition → next offset to count, of those partitions in `after` that answered.",
            extra_json_schema=BY_PARTITION,
        ),
    ]


class NotDelivered(Problem, frozen=True):
    """The problem of texts that the brokers have not all confirmed, in the format of RFC 9457."""

    accepted: Annotated[Count, Meta(description="Texts that are in the topic.")]
    in_doubt: Annotated[
        Count,
        Meta(description="Further texts that are perhaps in the topic, or will be; all others are not."),
    ]


class UnknownWord(Freshness, frozen=True):
    """The problem of a word that occurs in no partition, in the format of RFC 9457, with the freshness of that answer."""

    type: ProblemType
    title: ProblemTitle
    status: ProblemStatus
    detail: ProblemDetail
    word: Annotated[
        str,
        Meta(
            description="The word, normalised by the tokeniser; for `/count/{word}/` as the client wrote it."
        ),
    ]


PROBLEM_BODIES: Final = (UnknownWord, Incomplete, NotYetCounted, NotDelivered, BrokenDump, Problem)
"""The bodies of problems. Their members are fixed."""
