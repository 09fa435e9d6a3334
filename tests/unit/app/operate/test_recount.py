"""The slow recount that `wordcount verify` compares with agrees with the fast path on every kind of record."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from agents.text.tally import RecordTally
from app.config.loading import load_settings
from app.config.text import policies_of, tokenizer_of, value_format_of
from app.kafka.clients import InputRecord
from app.operate.recount import Definition, TimeOf
from app.operate.window_recount import Chosen, WindowRecount
from tables.model.records import RecordBatch
from tables.model.windows import SizeRule, WindowRules, begun

VALUES = [
    b"One two  two",
    None,
    b"",
    b"caf\xe9 two",
    b'{"text": "three two"}',
    b'{"text": 3}',
    b"{",
    b'{"n": 1e400, "text": "four two"}',
    b'{"n": ' + b"7" * 5000 + b', "text": "five two"}',
    b'\xef\xbb\xbf{"text": "six two"}',
    b"x" * 40 + b" y",
    "ﷺ Straße’s".encode(),
    b" leading",
    b"\xff",
    b"large " * 200,
]
OPTIONS: list[dict[str, Any]] = [
    {
        "profile": profile,
        "value_format": value_format,
        "json_pointer": "/text" if value_format == "json" else "",
        "max_word_bytes": 32,
        **policies,
    }
    for profile, value_format, policies in itertools.product(
        ("java-s", "whitespace", "unicode"),
        ("text", "json"),
        (
            {"on_null": "count"},
            {"max_record_bytes": 1024, "on_null": "count"},
            {"stop_words": "two", "min_word_length": 2, "on_null": "skip", "on_invalid_utf8": "skip"},
            {
                "on_null": "dead_letter",
                "on_invalid_utf8": "dead_letter",
                "on_invalid_json": "skip",
                "on_missing_text": "skip",
                "on_oversized_word": "dead_letter",
                "on_oversized_record": "skip",
                "max_record_bytes": 1024,
                "on_empty_word": "skip",
                "max_word_length": 5,
            },
        ),
    )
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(map(str, options.values())))
def test_definition_and_tally_agree_on_words_and_outcomes(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(**options)
    definition = Definition(settings)
    tally = RecordTally(tokenizer_of(settings), value_format_of(settings), policies_of(settings))
    assert definition.identity == tally.identity
    fast = tally([RecordBatch(pa.array(VALUES, pa.binary()), 0, len(VALUES))])
    slow = [definition(value) for value in VALUES]
    counts = Counter(word.encode() for one in slow for word in one.words)
    assert counts == dict(zip(fast.words.to_pylist(), fast.counts.tolist(), strict=True))
    assert sum(one.outcome == "counted" for one in slow) == fast.totals.counted
    for outcome in ("skipped", "dead_lettered"):
        reasons = Counter(one.reason for one in slow if one.outcome == outcome)
        assert reasons == getattr(fast.totals, outcome)
    assert counts.total() == fast.totals.words


TIMED = [
    None,
    b"",
    b"{",
    b'{"text": "a"}',
    b'{"at": null, "text": "a"}',
    b'{"at": "2024-02-03T04:05:06.789Z", "text": "a"}',
    b'{"at": 1706933106, "text": 7}',
    b'{"at": -0.001, "text": "a"}',
    b'{"at": "soon", "text": "a"}',
    b'{"at": true, "text": "a"}',
    b'{"at": 1e400, "text": "a"}',
    b'{"at": "1901-01-01", "text": "a"}',
    b'\xef\xbb\xbf{"at": 1706933107, "text": "a"}',
    b'{"at": 1706933108, "text": "caf\xe9"}',
    b'{"at": 1706933109, "text": "' + b"x" * 2000 + b'"}',
]


@pytest.mark.parametrize("on_invalid_utf8", ["replace", "skip"])
@pytest.mark.parametrize("source", ["/at", "record"])
def test_times_are_those_of_the_tally(
    source: str, on_invalid_utf8: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(
        value_format="json", json_pointer="/text", on_invalid_utf8=on_invalid_utf8, max_record_bytes=1024
    )
    tally = RecordTally(tokenizer_of(settings), value_format_of(settings), policies_of(settings))
    time_of = TimeOf(settings, source)
    state = begun(WindowRules((SizeRule(60, 0, 60),), 1000, source), 0)
    for value in TIMED:
        batch = RecordBatch(pa.array([value], pa.binary()), 0, 1, times=np.array([1_700_000_000_000]))
        fast = tally([batch], state)
        recount = WindowRecount(state, Chosen(state))
        recount.take(0, time_of(InputRecord(0, value, 1_700_000_000_000)), {})
        assert fast.windowed is not None
        assert (recount.clock, recount.untimed) == (fast.windowed.clock, fast.totals.untimed), value
