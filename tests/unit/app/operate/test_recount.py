"""The slow recount that `wordcount verify` compares with agrees with the fast path on every kind of record."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from agents.text.tally import RecordTally
from app.config.loading import load_settings
from app.config.text import policies_of, tokenizer_of, value_format_of
from app.operate.recount import Definition
from tables.model.records import RecordBatch

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
