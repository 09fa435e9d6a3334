"""Crossings: ids that stay the same, and events whatever the word is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.config.windows import Window
from app.watches.crossing import Crossing, crossing_id, event_body, watch_key
from tests.fakes.watches import START_S, watch

ALARM = Crossing("alarm", 3, START_S, {0: 7}, START_S + 30)


def test_an_id_stays_the_same_over_versions():
    """Another id for the same crossing would make receivers take a duplicate for a new one."""
    assert crossing_id(watch(), "alarm", START_S) == "425d957205ed8d177943f3e8edba94e8"


def test_an_id_says_watch_definition_word_and_window_and_nothing_else():
    ids = {
        crossing_id(one, word, start_s)
        for one in (
            watch(),
            watch("other"),
            watch(kind="prefix"),
            watch(text="al"),
            watch(above=3),
            watch(window=Window("1m", 120, 60)),
            watch(window=None),
        )
        for word in ("alarm", "alarms")
        for start_s in (START_S, START_S + 60, None)
    }
    assert len(ids) == 7 * 2 * 3
    moved = watch(url="https://elsewhere.example", secret_file=Path("new"))
    assert crossing_id(moved, "alarm", START_S) == crossing_id(watch(), "alarm", START_S)
    assert watch_key(moved) == watch_key(watch())


def test_the_event_of_a_window_has_its_beginning_as_time():
    event = json.loads(event_body("/wordcount/group/texts", watch(), ALARM))
    assert event == {
        "specversion": "1.0",
        "id": crossing_id(watch(), "alarm", START_S),
        "source": "/wordcount/group/texts",
        "type": "wordcount.crossing",
        "subject": "alarms",
        "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "watch": "alarms",
            "word": "alarm",
            "count": 3,
            "threshold": 2,
            "window": {"size": "1m", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"},
            "score": None,
            "as_of": {"0": 7},
        },
    }


def test_the_event_of_a_total_has_the_time_when_it_was_found():
    event = json.loads(event_body("/x", watch(window=None), Crossing("alarm", 3, None, {}, START_S + 30)))
    assert (event["time"], event["data"]["window"]) == ("2026-01-01T00:00:30Z", None)


@pytest.mark.parametrize("word", ['"\\\n\r\x00\x7f', "\u2028\u202e", "</script>", "é👍", "\r\nwebhook-id: 1"])
def test_any_word_stands_in_the_data_alone(word):
    body = event_body("/x", watch(), Crossing(word, 3, START_S, {}, START_S))
    event = json.loads(body)
    assert event["data"].pop("word") == word
    assert word not in json.dumps(event, ensure_ascii=False)
    assert b"\n" not in body
