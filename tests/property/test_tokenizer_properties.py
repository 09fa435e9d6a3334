"""Counting many texts at once equals counting the words of each, for every profile and option."""

import re
from collections import Counter
from unicodedata import is_normalized, normalize

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.text.tokenizer import _IGNORABLE, MAX_GROWTH, PROFILES, Tokenizer, tokenizer

# Separators of one rule and not of another, characters that join words or lean on their neighbour, and such
# that normalisation or case folding changes.
TELLING = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u3000\u200b\u200c\u200d\ufeff\xad"
    "aZ09_'\u2019.,:;-\"\u00e9\u00df\u0130\u03a3\u03c2\ufb01\ufdfa\u2126\u00a8\u037a\u1f3f"
    "\u0300\u0345\u093f\u0e33\u3099\uff9e\u05d0\u3042\u30a2\u4e00\u0e01\uac00\u1100\u1161\u11a8"
    "\U0001f1e6\U0001f1e7\U0001f3fb\U0001f468\U000e0061"
    "\u0390\u03aa\u0301\u0308\u0342\u0399\u03b9\u1fb3\u01f0\u034f\u1160\u3164\ufe0f\u2060\ufff0"
)
CHARS = st.sampled_from(TELLING) | st.characters(exclude_categories=["Cs"])
TEXT = st.text(CHARS, max_size=12) | st.text(st.sampled_from(" \ta"), max_size=8)
TEXTS = st.lists(TEXT, max_size=8)

OPTIONS = st.fixed_dictionaries(
    {
        "stop_words": st.sets(st.sampled_from(["a", "A", "z", "09", "\u00e9"])),
        "min_length": st.integers(1, 3),
        "max_length": st.none() | st.integers(3, 5),
    }
)


def counts_of(splitter: Tokenizer, texts: pa.StringArray) -> Counter[str]:
    counted = splitter.count(texts)
    words, counts = counted.words.to_pylist(), counted.counts.to_pylist()
    assert len(set(words)) == len(words) == len(counts)
    assert all(count > 0 for count in counts)
    return Counter(dict(zip(words, counts, strict=True)))


@pytest.mark.parametrize("profile", PROFILES)
@given(texts=TEXTS)
@example(["a \u093f", "\u093f"])
@example(["a\u3000" * 16])
@example(["\r", "\n\u0300a", "\u0300", ""])
def test_counting_many_equals_counting_the_words_of_each(profile: str, texts: list[str]) -> None:
    splitter = tokenizer(profile)
    expected = Counter(word for text in texts for word in splitter.tokens(text))
    assert counts_of(splitter, pa.array(texts, pa.string())) == expected


@pytest.mark.parametrize("profile", PROFILES)
@given(texts=TEXTS, start=st.integers(0, 8), length=st.integers(0, 8))
def test_a_slice_of_an_array_is_counted_without_the_rest(
    profile: str, texts: list[str], start: int, length: int
) -> None:
    splitter = tokenizer(profile)
    part = pa.array(texts, pa.string())[start : start + length]
    expected = Counter(word for text in texts[start : start + length] for word in splitter.tokens(text))
    assert counts_of(splitter, part) == expected


@pytest.mark.parametrize("profile", PROFILES)
@given(texts=TEXTS, options=OPTIONS)
def test_options_drop_the_same_words_one_by_one_and_at_once(
    profile: str, texts: list[str], options: dict[str, object]
) -> None:
    splitter = tokenizer(profile, **options)
    counted = splitter.count(pa.array(texts, pa.string()))
    expected = Counter(word for text in texts for word in splitter.tokens(text))
    assert dict(zip(counted.words.to_pylist(), counted.counts.to_pylist(), strict=True)) == expected
    every = sum(len(tokenizer(profile).tokens(text)) for text in texts)
    assert sum(counted.dropped.values()) == every - expected.total()


@given(TEXT)
def test_java_s_follows_the_rule_of_java(text: str) -> None:
    # Java: no match, the text itself; else the pieces before, between and after the matches without the empty
    # ones at the end.
    matches = [match.span() for match in re.finditer(r"[ \t\n\x0b\f\r]", text)]
    if matches:
        ends = [*(start for start, _ in matches), len(text)]
        starts = [0, *(end for _, end in matches)]
        pieces = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        last = max((i for i, piece in enumerate(pieces) if piece), default=-1)
        expected = pieces[: last + 1]
    else:
        expected = [text]
    assert tokenizer("java-s").tokens(text) == expected


@given(TEXT)
def test_whitespace_is_the_split_of_python(text: str) -> None:
    assert tokenizer("whitespace").tokens(text) == text.split()


@given(TEXTS)
def test_a_newline_between_texts_changes_no_word_of_the_unicode_profile(texts: list[str]) -> None:
    splitter = tokenizer("unicode")
    assert splitter.tokens("\n".join(texts)) == [word for text in texts for word in splitter.tokens(text)]


@given(TEXT, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
@example("\u03a4\u0391\u03aa\u0301\u0396\u03a9", "NFC")
def test_a_text_has_the_same_words_in_each_normalisation_and_all_are_normalised(text: str, form: str) -> None:
    splitter = tokenizer("unicode")
    text = text.replace("\u2019", "'")
    words = splitter.tokens(text)
    # An ignorable character would keep marks on both of its sides apart in the one form alone.
    sound = _IGNORABLE.sub("", text)
    assert splitter.tokens(normalize(form, sound)) == words
    assert all(is_normalized("NFKC", word) for word in words)


@given(TEXT)
def test_folding_a_word_again_changes_nothing(text: str) -> None:
    splitter = tokenizer("unicode")
    words = splitter.tokens(text)
    assert splitter.tokens("\n".join(words)) == words


@pytest.mark.parametrize("profile", PROFILES)
@given(text=TEXT)
def test_no_word_outgrows_its_text_beyond_the_bound(profile: str, text: str) -> None:
    size = len(text.encode())
    assert all(len(word.encode()) <= MAX_GROWTH * size for word in tokenizer(profile).tokens(text))
