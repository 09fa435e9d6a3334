"""Names and numbers that reach disk or broker: topics, keys, format version, sizes of requests.

A change of a name, a key or the format is a migration: raise `FORMAT_VERSION` and write an ADR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

FORMAT_VERSION = 1
"""Version of rows, markers and store states. A changelog of another version stops the partition; a store of another is rebuilt."""

WINDOWED_VERSION = 2
"""Version of a changelog that has, or had, rows of windows. An earlier program refuses it instead of taking these rows for words."""

IDENTIFIED_VERSION = 3
"""Version of a changelog that has, or had, rows of record ids, and perhaps rows of windows. An earlier program refuses it."""

ID_HEADER = "wordcount-id"
"""Header of an input record that has its id (`tables.model.record_ids`)."""

END_OF_WORDS = b"\xfb"
"""Every word sorts before this key, as no UTF-8 text begins with it; the rows of record ids and of windows do not."""

MARKER_KEY = b"\xffmarker"
"""Changelog key of a marker. No UTF-8 text begins with 0xff, so that no word can equal this key."""

STATE_KEY = b"\xff\xff\xff\xffstate"
"""Store key of the state. The key sorts after every word, so that a sorted file of rows is written before the position is proven."""

ROW_BYTES = 16
"""Bytes of a row's value: count and `upto`, both signed 64-bit big-endian."""

MAX_REQUEST_BYTES = 1_000_000
"""Largest request that writes, and so the largest batch: below the broker's default `message.max.bytes` of 1,048,588."""

ROWS_PER_CHANGELOG_BATCH = 8192
"""Rows of one changelog batch: about 240 kB uncompressed, which the event loop sends in 1 ms (measured 120 ns a row with snappy)."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics of one consumer group over one input topic.

    Attributes:
        input: topic whose words are counted.
        changelog: see `changelog_topic`.
        dead_letters: see `dead_letter_topic`.
        watches: see `watches_topic`.
    """

    input: str
    changelog: str
    dead_letters: str
    watches: str

    @classmethod
    def of(cls, group: str, topic: str) -> Self:
        """Return the names for consumer group `group` over the input topic `topic`."""
        return cls(
            topic, changelog_topic(group, topic), dead_letter_topic(group, topic), watches_topic(group, topic)
        )


def changelog_topic(group: str, topic: str) -> str:
    """Return the name of the compacted topic that holds the counts of `group` over `topic`; no two such pairs share a name."""
    return _name(group, topic, "changelog")


def dead_letter_topic(group: str, topic: str) -> str:
    """Return the name of the topic for records that `group` could not count; no two pairs of group and topic share a name."""
    return _name(group, topic, "dead-letters")


def watches_topic(group: str, topic: str) -> str:
    """Return the name of the compacted topic that holds what became of the watches of `group` over `topic`, as of the others."""
    return _name(group, topic, "watches")


def former_changelog_topic(group: str, topic: str) -> str:
    """Return the name that the changelog had in earlier versions, in which two pairs could share a name (ADR 11)."""
    return f"{group}-{topic}-changelog"


def _name(group: str, topic: str, kind: str) -> str:
    """Return a name from which group and topic can be read: the first hyphen ends the group, or else the length at the end says it."""
    return f"{group}-{topic}-{kind}" + (f"-{len(group)}" if "-" in group else "")
