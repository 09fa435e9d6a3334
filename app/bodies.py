"""Bodies of the answers over HTTP: the server encodes them, its clients decode them, and OpenAPI describes them.

The fields of a class are the members of a JSON object, in this order. In a subclass of `Freshness` the members of `Freshness` come
last. A decoder refuses an object in which a member is missing or has another type, and ignores unknown members, because a newer worker
may send more.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from tables.observer import PartitionState

MOST_WORDS: Final = 1000
"""Most words in one answer."""

MOST_WORDS_ASKED: Final = 10_000
"""Most words in one question."""

Count = Annotated[int, Meta(ge=0)]
Occurrences = Annotated[int, Meta(ge=1)]
Role = Literal["active", "standby", "view"]
FollowerState = Literal["following", "restoring", "stopped"]
Offset = Annotated[int, Meta(ge=0)] | None
ByReason = dict[str, Count]
StockCount = dict[str, Occurrences]
"""The answer of `/count/{word}/`, in the format of Faust's own word-count example: the word as the client wrote it, and its count."""

BY_PARTITION: Final = {"propertyNames": {"pattern": "^[0-9]+$"}}


class Behind(Struct, frozen=True):
    """How far a follower is behind."""

    records: Annotated[Count, Meta(description="Changelog records that it has not read yet, at most.")]
    seconds: Annotated[
        float,
        Meta(ge=0, description="Time since it had read everything, in seconds; 0 = it has read everything."),
    ]


class Freshness(Struct, frozen=True, kw_only=True):
    """How fresh and how complete an answer is."""

    as_of: Annotated[
        dict[Count, Count],
        Meta(
            description="Partition → next offset to count. The answer covers every record below that offset and no record from that "
            "offset on. To read your own write, ask with `after`, or until `as_of` of your record's partition is above your record's "
            "offset. No crash takes back what was answered.",
            extra_json_schema=BY_PARTITION,
        ),
    ]
    complete: Annotated[bool, Meta(description="Whether every partition is in `as_of`.")]
    missing_partitions: Annotated[
        list[Count],
        Meta(
            description="Partitions that are not in `as_of`, ascending; empty while the number of partitions is not known."
        ),
    ]
    served_by: Annotated[
        dict[Count, Role],
        Meta(
            description="Partition → who answered for it: the worker that counts it (`active`), or a follower, which reads its "
            "changelog (`standby` in a worker, `view` in a process of its own).",
            extra_json_schema=BY_PARTITION,
        ),
    ]
    behind: Annotated[
        dict[Count, Behind],
        Meta(
            description="Partition → how far the follower was behind that answered for it; only partitions that a follower answered.",
            extra_json_schema=BY_PARTITION,
        ),
    ]

    @property
    def news(self) -> object:
        """What a client of a stream is told: answers with equal news are not told twice.

        An answer is what its positions make it. The rest, who answered and how far behind, is no reason to wake a client.
        """
        return self.as_of, self.complete

    @property
    def facts(self) -> object:
        """What the answer says beyond how fresh it is: an answer with other facts is told at once."""
        own = self.__struct_fields__
        return self.complete, [getattr(self, name) for name in own if name not in Freshness.__struct_fields__]


class CountedWord(Struct, frozen=True):
    """A word and its count."""

    word: Annotated[str, Meta(description="The word.")]
    count: Annotated[Occurrences, Meta(description="How often the word occurs.")]


class Word(Freshness, frozen=True):
    """The count of a word that occurs."""

    word: Annotated[str, Meta(description="The word, normalised by the tokeniser.")]
    count: Annotated[Occurrences, Meta(description="How often the word occurs.")]


class Words(Freshness, frozen=True):
    """A page of words."""

    words: Annotated[
        list[CountedWord],
        Meta(max_length=MOST_WORDS, description="The words, in the byte order of UTF-8."),
    ]
    next_cursor: Annotated[
        str | None, Meta(description="`cursor` of the next page; null if no word follows.")
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
            description="Largest possible difference between the count of a word that is not listed and the count of the last listed "
            "word; 0 if `exact`."
        ),
    ]
    next_cursor: Annotated[None, Meta(description="Always null.")]


class WordsAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Words whose counts are asked for."""

    words: Annotated[
        list[str],
        Meta(
            description="The words, in any order, also several times; each is normalised as the tokeniser does.",
            extra_json_schema={"maxItems": MOST_WORDS_ASKED},
        ),
    ]


class AskedWord(Struct, frozen=True):
    """A word that was asked for, and its count."""

    word: Annotated[str, Meta(description="The word, normalised by the tokeniser.")]
    count: Annotated[
        Count,
        Meta(
            description="How often the word occurs in the partitions in `as_of`; 0 = it does not occur there."
        ),
    ]


class Counts(Freshness, frozen=True):
    """The counts of the words that were asked for, all as of the same positions."""

    words: Annotated[
        list[AskedWord],
        Meta(max_length=MOST_WORDS_ASKED, description="The words, in the order of the question."),
    ]


class DumpEnd(Freshness, frozen=True):
    """The last line of a complete list of words; `as_of` is that of the last words."""

    words: Annotated[Count, Meta(description="Number of words before this line.")]
    first_as_of: Annotated[
        dict[Count, Count],
        Meta(
            description="`as_of` of the first words. A count covers each record below `first_as_of`, unless `max_lag_records` was "
            "given, and none from `as_of` on.",
            extra_json_schema=BY_PARTITION,
        ),
    ]
    next_cursor: Annotated[None, Meta(description="Always null: no word follows.")]


class Instance(Struct, frozen=True):
    """A worker, as Kafka Streams describes an instance."""

    host: Annotated[str, Meta(description="Host name or address of the worker.")]
    port: Annotated[Count, Meta(description="Port of the worker.")]
    store_names: Annotated[list[str], Meta(description="The stores that the worker answers for.")] = field(
        name="storeNames"
    )


class KeyValue(Struct, frozen=True):
    """A word and its count, as Kafka Streams has them in a store."""

    key: Annotated[str, Meta(description="The word, normalised by the tokeniser.")]
    value: Annotated[Occurrences, Meta(description="How often the word occurs.")]


class Partition(Struct, frozen=True):
    """State, position and lag of a partition, as who answered for it says; a follower does not know highwater and lag."""

    state: Annotated[
        Literal[PartitionState, "following"],
        Meta(description="What who answered for the partition does with it; `following`: a follower."),
    ]
    position: Annotated[Offset, Meta(description="Next offset to count; null while it is not known.")]
    highwater: Annotated[
        Offset,
        Meta(description="Offset after the last record of the input partition; null while it is not known."),
    ]
    lag_records: Annotated[
        Offset,
        Meta(description="`highwater` minus `position`, at least 0; null if either is null."),
    ]
    stream_time: Annotated[
        str | UnsetType | None,
        Meta(
            description="Largest time of the records so far; null if no record had a time. This and the next three members are absent "
            "where no windows were counted."
        ),
    ] = UNSET
    open_windows: Annotated[
        ByReason | UnsetType,
        Meta(description="Size → number of windows that may take records still, up to the stream time."),
    ] = UNSET
    late: Annotated[
        ByReason | UnsetType,
        Meta(description="Size → records that came too late for their window of that size."),
    ] = UNSET
    untimed: Annotated[ByReason | UnsetType, Meta(description="Reason → records that are in no window.")] = (
        UNSET
    )


class FollowedPartition(Struct, frozen=True):
    """State of a partition that a worker follows."""

    state: Annotated[FollowerState, Meta(description="What the worker does with the partition.")]
    position: Annotated[Offset, Meta(description="Next offset to count; null while it is not known.")]
    behind_records: Annotated[Count, Meta(description="Changelog records that are not read yet, at most.")]
    behind_seconds: Annotated[
        float, Meta(ge=0, description="Time since everything had been read; 0 if everything is read.")
    ]
    restored: Annotated[float, Meta(ge=0, le=1, description="Share of the changelog that has been read.")]
    problem: Annotated[str, Meta(description="Why it is stopped; empty otherwise.")]


class OwnedPartition(Struct, frozen=True):
    """State of a partition that a worker counts."""

    state: Annotated[PartitionState, Meta(description="What the worker does with the partition.")]
    position: Annotated[Offset, Meta(description="Next offset to count; null while it is not known.")]
    lag_records: Annotated[Offset, Meta(description="Records that are not counted yet; null if not known.")]
    restored: Annotated[float, Meta(ge=0, le=1, description="Share of the changelog that has been read.")]
    problem: Annotated[str, Meta(description="Why it is stopped; empty otherwise.")]


class AssignedWorker(Struct, frozen=True):
    """A worker of the group and its partitions."""

    url: Annotated[str, Meta(description="Where other workers ask this worker; empty if that is not known.")]
    here: Annotated[bool, Meta(description="Whether this worker gave the answer.")]
    problem: Annotated[
        str,
        Meta(description="Why the worker does not say what it does with its partitions; empty if it does."),
    ]
    version: Annotated[str, Meta(description="Version of Wordcount; empty if not known.")]
    active: Annotated[
        dict[Count, OwnedPartition | None],
        Meta(description="Partition that the worker counts → its state.", extra_json_schema=BY_PARTITION),
    ]
    standby: Annotated[
        dict[Count, FollowedPartition | None],
        Meta(description="Partition that the worker follows → its state.", extra_json_schema=BY_PARTITION),
    ]


class AssignmentMap(Struct, frozen=True):
    """Which worker has which partition."""

    generation: Annotated[
        Offset, Meta(description="Generation of the consumer group; null while this worker knows no other.")
    ]
    partitions: Annotated[Offset, Meta(description="Partitions of the input topic; null while not known.")]
    workers: Annotated[list[AssignedWorker], Meta(description="The workers of the group.")]


class RecordTotals(Freshness, frozen=True):
    """Totals of records, by what became of them."""

    records: Annotated[Count, Meta(description="Records read.")]
    words: Annotated[Count, Meta(description="Occurrences of words: the sum of all counts.")]
    counted: Annotated[Count, Meta(description="Records whose words were counted.")]
    skipped: Annotated[
        ByReason,
        Meta(
            description="Records that were left out, by reason; `duplicate` = they repeat an earlier one with their id."
        ),
    ]
    dead_lettered: Annotated[
        ByReason, Meta(description="Records that were sent to the dead-letter topic, by reason.")
    ]
    dropped_words: Annotated[
        ByReason, Meta(description="Occurrences of words that were left out of counted records, by reason.")
    ]


class Stats(RecordTotals, frozen=True, kw_only=True):
    """Totals, and state and position of each partition; `records` = `counted` + the sums of `skipped` and of `dead_lettered`."""

    partitions: Annotated[
        dict[Count, Partition],
        Meta(description="Partition → its state, position and lag.", extra_json_schema=BY_PARTITION),
    ]


class Liveness(Struct, frozen=True):
    """The process is alive."""

    status: Annotated[Literal["ok"], Meta(description="Always `ok`.")]


class ReadinessCheck(Struct, frozen=True):
    """One condition of readiness."""

    ok: Annotated[bool, Meta(description="Whether the condition holds.")]
    detail: Annotated[str, Meta(description="What was found, in a few words and without secrets.")]


class Readiness(Struct, frozen=True):
    """Whether the worker is ready to answer, and why."""

    status: Annotated[Literal["ready", "not_ready"], Meta(description="`ready` if every check is `ok`.")]
    checks: Annotated[
        dict[str, ReadinessCheck],
        Meta(description="The checks `broker`, `assignment`, `address`, `restored` and `draining`."),
    ]


class Version(Struct, frozen=True):
    """The versions that run."""

    version: Annotated[str, Meta(description="Version of Wordcount.")]
    python: Annotated[str, Meta(description="Version of Python.")]
    faust: Annotated[str, Meta(description="Version of Faust.")]
    commit: Annotated[
        str | UnsetType, Meta(description="The commit; absent if the build does not know it.")
    ] = UNSET


BODIES: Final = (
    AssignmentMap,
    *(Word, Words, Top, WordsAsked, Counts, Stats, DumpEnd, Instance, KeyValue, Liveness, Readiness, Version),
)
"""The bodies whose members are fixed, beside those of problems. Objects inside of these bodies are not listed."""
