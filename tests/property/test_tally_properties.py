"""The tally of any batching of any records equals a slow account of each record, and every record is in it once."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from agents.text.choices import Policies
from agents.text.tally import DROP_REASONS, REASONS, RecordTally
from agents.text.tokenizer import PROFILES, Tokenizer, tokenizer
from agents.text.value_format import FORMATS, value_format
from tables.model.records import DeadLetter, RecordBatch
from tables.model.tally import Tally

CHARS = st.sampled_from(
    " \t\n\x0b\x1c\x85\xa0\u3000aAb\u00e9\u2019'.\u093f\u0300\ufdfa\u4e00\U0001f600"
) | st.characters(exclude_categories=["Cs"])
TEXT = st.text(CHARS, max_size=14)
RAW = TEXT.map(str.encode) | st.binary(max_size=8)
JSON = st.one_of(
    TEXT.map(lambda text: json.dumps({"t": text}).encode()),
    TEXT.map(lambda text: json.dumps({"t": text}, ensure_ascii=False).encode()),
    st.text(max_size=4).map(lambda text: json.dumps({"t": text}).encode()),
    st.sampled_from(
        [b"{}", b'{"t":null}', b'{"t":7}', b"[", b"null", b'{"t":"\\ud800 a"}', b'{"t":"\xff a"}']
    ),
)
VALUES = st.lists(st.none() | RAW | JSON, max_size=24)

POLICIES = st.builds(
    Policies,
    on_null=st.sampled_from(["skip", "count", "dead_letter"]),
    on_invalid_utf8=st.sampled_from(["replace", "skip", "dead_letter"]),
    on_invalid_json=st.sampled_from(["skip", "dead_letter"]),
    on_missing_text=st.sampled_from(["skip", "dead_letter"]),
    on_oversized_word=st.sampled_from(["skip", "dead_letter"]),
    on_oversized_record=st.sampled_from(["skip", "dead_letter"]),
    on_empty_word=st.sampled_from(["count", "skip"]),
    max_word_bytes=st.sampled_from([1, 3, 5, 16_384]),
    max_record_bytes=st.sampled_from([4, 16 << 20]),
)
TOKENIZERS = st.builds(
    tokenizer,
    st.sampled_from(PROFILES),
    stop_words=st.sets(st.sampled_from(["a", "b"])),
    min_length=st.integers(1, 2),
    max_length=st.none() | st.integers(2, 6),
)


@dataclass
class Account:
    """One record after the other, by the words of the policies."""

    splitter: Tokenizer
    value_format: str
    policies: Policies
    words: Counter[bytes] = field(default_factory=Counter)
    counted: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    dead: list[DeadLetter] = field(default_factory=list)

    def add(self, offset: int, value: bytes | None) -> None:
        fate, words = self.judge(value)
        if fate is None:
            self.counted += 1
            self.words.update(words)
            return
        if getattr(self.policies, f"on_{fate}") == "skip":
            self.skipped[fate] += 1
        else:
            too_large = fate == "oversized_record"
            self.dead.append(
                DeadLetter(offset, None if too_large else value, fate, len(value or b"") if too_large else 0)
            )

    def judge(self, value: bytes | None) -> tuple[str | None, list[bytes]]:
        if value is None:
            return (None if self.policies.on_null == "count" else "null"), []
        if len(value) > self.policies.max_record_bytes:
            return "oversized_record", []
        text = value.decode("utf-8", "replace")
        if self.policies.on_invalid_utf8 != "replace" and text.encode() != value:
            return "invalid_utf8", []
        if self.value_format == "json":
            try:
                document = json.loads(text, parse_constant=lambda _: 1 / 0)
            except (ValueError, ZeroDivisionError):
                return "invalid_json", []
            found = document.get("t") if isinstance(document, dict) else None
            if not isinstance(found, str):
                return "missing_text", []
            text = found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        words = [word.encode() for word in self.splitter.tokens(text)]
        long = [word for word in words if len(word) > self.policies.max_word_bytes]
        if long and self.policies.on_oversized_word == "dead_letter":
            return "oversized_word", []
        self.dropped["oversized"] += len(long)
        words = [word for word in words if len(word) <= self.policies.max_word_bytes]
        if self.policies.on_empty_word == "skip":
            self.dropped["empty"] += words.count(b"")
            words = [word for word in words if word]
        return None, words


def batches_of(values: Sequence[bytes | None], cuts: Sequence[int]) -> list[RecordBatch]:
    """The values at offsets 10, 13, 16 ..., cut before each index in `cuts`, all slices of one array."""
    array = pa.array(values, pa.binary())
    offsets = np.arange(10, 10 + 3 * len(values), 3)
    bounds = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(values)), len(values)]
    return [
        RecordBatch(array[start:end], 10 + 3 * start, 10 + 3 * end, offsets[start:end])
        for start, end in pairwise(bounds)
    ]


def words_of(result: Tally) -> dict[bytes, int]:
    return dict(zip(result.words.to_pylist(), result.counts.tolist(), strict=True))


@given(
    values=VALUES,
    cuts=st.lists(st.integers(0, 24), max_size=5),
    splitter=TOKENIZERS,
    name=st.sampled_from(FORMATS),
    policies=POLICIES,
)
def test_a_tally_equals_an_account_of_each_record(
    values: list[bytes | None], cuts: list[int], splitter: Tokenizer, name: str, policies: Policies
) -> None:
    counting = RecordTally(splitter, value_format(name, "/t" if name == "json" else ""), policies)
    result = counting(batches_of(values, cuts))
    account = Account(splitter, name, policies)
    for index, value in enumerate(values):
        account.add(10 + 3 * index, value)

    words, totals = result.words.to_pylist(), result.totals
    assert words_of(result) == account.words
    assert all(left < right for left, right in pairwise(words))
    assert (totals.records, totals.counted, totals.words) == (
        len(values),
        account.counted,
        account.words.total(),
    )
    assert totals.skipped == account.skipped
    assert list(result.dead_letters) == account.dead
    assert totals.dead_lettered == Counter(letter.reason for letter in account.dead)
    dropped = {reason: n for reason, n in totals.dropped_words.items() if reason in {"oversized", "empty"}}
    assert dropped == {reason: n for reason, n in account.dropped.items() if n}

    assert totals.records == totals.counted + sum(totals.skipped.values()) + sum(
        totals.dead_lettered.values()
    )
    assert {*totals.skipped, *totals.dead_lettered} <= {*REASONS}
    assert {*totals.dropped_words} <= {*DROP_REASONS}


@given(values=VALUES, cuts=st.lists(st.integers(0, 24), max_size=5), splitter=TOKENIZERS, policies=POLICIES)
def test_the_tallies_of_parts_add_up_to_the_tally_of_the_whole(
    values: list[bytes | None], cuts: list[int], splitter: Tokenizer, policies: Policies
) -> None:
    counting = RecordTally(splitter, value_format("text"), policies)
    batches = batches_of(values, cuts)
    whole = counting(batches)
    parts = [counting([batch]) for batch in batches]
    words: Counter[bytes] = Counter()
    for part in parts:
        words.update(words_of(part))
    assert words_of(whole) == words
    assert whole.totals == sum((part.totals for part in parts[1:]), parts[0].totals)
    assert list(whole.dead_letters) == [letter for part in parts for letter in part.dead_letters]
