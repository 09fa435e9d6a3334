"""Every name and number that reaches disk or broker. Changing one is a migration: raise `FORMAT_VERSION` and write an ADR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

FORMAT_VERSION = 1
"""Of rows, markers and store states. A store or changelog of another version is refused, never guessed at."""

MARKER_KEY = b"\xffmarker"
"""Changelog key of a marker. 0xff starts no UTF-8 text, so that no word can collide with it."""

STATE_KEY = b"\xff\xff\xff\xffstate"
"""Store key of the state. Sorts after every word, so that a sorted file of rows can be written before the position is proven."""

ROW_BYTES = 16
"""A row's value: count and upto, both signed 64-bit big-endian."""

MAX_REQUEST_BYTES = 1_000_000
"""Of a request that writes, and so of a batch: below the broker's default `message.max.bytes` of 1,048,588."""

ROWS_PER_CHANGELOG_BATCH = 8192
"""About 240 kB uncompressed: one millisecond of event loop to send (measured 120 ns a row with snappy)."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics of one deployment.

    Attributes:
        input: whose words are counted.
        changelog, dead_letters: see `changelog_topic` and `dead_letter_topic`.
    """

    input: str
    changelog: str
    dead_letters: str

    @classmethod
    def of(cls, group: str, topic: str) -> Self:
        """Those of a consumer group over an input topic."""
        return cls(topic, changelog_topic(group, topic), dead_letter_topic(group, topic))


def changelog_topic(group: str, topic: str) -> str:
    """Name of the compacted topic that backs the counts of consumer group `group` over `topic`; no two pairs share one."""
    return _name(group, topic, "changelog")


def dead_letter_topic(group: str, topic: str) -> str:
    """Name of the topic that keeps the records which could not be counted; no two pairs share one."""
    return _name(group, topic, "dead-letters")


def former_changelog_topic(group: str, topic: str) -> str:
    """The name that the changelog had before names were unlike (ADR 11)."""
    return f"{group}-{topic}-changelog"


def _name(group: str, topic: str, kind: str) -> str:
    """The first hyphen ends the group; of a group with a hyphen the length says where it ends."""
    return f"{group}-{topic}-{kind}" + (f"-{len(group)}" if "-" in group else "")
