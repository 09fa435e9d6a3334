"""Crossings: a word of a watch that occurs more often than the watch allows, its id, and the event that tells it. Pure.

The id is made of what makes a crossing: name and definition of the watch, word, and beginning of the window. So two workers that find
the same crossing, or one that finds it again after a restart, send the same id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

import msgspec

from app.config.watches import Watch
from app.reads.window_answers import time_text
from app.watch_bodies import CrossingData, WatchedWindow

EVENT_TYPE: Final = "wordcount.crossing"
MEDIA_TYPE: Final = "application/cloudevents+json; charset=utf-8"
_ID_CHARACTERS: Final = 32
_KEY_CHARACTERS: Final = 16


class Crossing(msgspec.Struct, frozen=True):
    """A crossing, as it was found.

    Attributes:
        word: the word.
        count: how often it occurred.
        start_s: beginning of the window in seconds since 1970; None = the total.
        as_of: partition -> next offset to count.
        found_s: when the crossing was found, in seconds since 1970.
        score: score of a trending word; None = another watch.
    """

    word: str
    count: int
    start_s: int | None
    as_of: Mapping[int, int]
    found_s: int
    score: float | None = None


def watch_key(watch: Watch) -> str:
    """Return a text that is the same for watches with equal names and definitions; who is told belongs to neither."""
    return _digest(_definition(watch))[:_KEY_CHARACTERS]


def crossing_id(watch: Watch, word: str, start_s: int | None) -> str:
    """Return the id of a crossing."""
    return _digest([*_definition(watch), word, start_s])[:_ID_CHARACTERS]


def data_of(watch: Watch, crossing: Crossing) -> CrossingData:
    """Return what a receiver is told of a crossing."""
    window, start_s = watch.window, crossing.start_s
    return CrossingData(
        watch.name,
        crossing.word,
        crossing.count,
        watch.above,
        None
        if window is None or start_s is None
        else WatchedWindow(window.name, time_text(start_s), time_text(start_s + window.size_s)),
        crossing.score,
        dict(crossing.as_of),
    )


def event_body(source: str, watch: Watch, crossing: Crossing) -> bytes:
    """Return the CloudEvent of a crossing in its JSON format.

    A word may be any text, also one that no attribute of an event may be. So it stands in the data alone.

    Args:
        source: what has counted: a reference to a URI, such as `/wordcount/<group>/<topic>`.
        watch: the watch.
        crossing: the crossing.
    """
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": crossing_id(watch, crossing.word, crossing.start_s),
            "source": source,
            "type": EVENT_TYPE,
            "subject": watch.name,
            "time": time_text(crossing.found_s if crossing.start_s is None else crossing.start_s),
            "datacontenttype": "application/json",
            "data": data_of(watch, crossing),
        }
    )


def _definition(watch: Watch) -> list[object]:
    size = None if watch.window is None else [watch.window.size_s, watch.window.advance_s]
    return [watch.name, watch.kind, watch.text, size, watch.above]


def _digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
