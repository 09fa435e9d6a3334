"""Profiles and their options, by examples; `tests/property/test_tokenizer_properties.py` holds `count` to `tokens`."""

import re
import unicodedata
from hashlib import sha256

import pyarrow as pa
import pytest

from agents.text.tokenizer import (
    _IGNORABLE,
    _UNUSUAL,
    MAX_GROWTH,
    PROFILES,
    Tokenizer,
    _fold_usual,
    fold,
    tokenizer,
)
from tables.errors import ConfigurationError

# What `String.split("\\s")` of JDK 17 answers.
JAVA_VECTORS = [
    ("message 7", ["message", "7"]),
    ("", [""]),
    (" ", []),
    ("\t\r\n", []),
    (" a", ["", "a"]),
    ("a ", ["a"]),
    ("a  b", ["a", "", "b"]),
    ("a\r\nb", ["a", "", "b"]),
    ("a\x0bb\x0cc", ["a", "b", "c"]),
    ("a\u00a0b\u2003c\u3000d\u0085e\u001cf", ["a\u00a0b\u2003c\u3000d\u0085e\u001cf"]),
    ("A a", ["A", "a"]),
]

SCALARS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]

UNICODE_VECTORS = [
    (
        "\u03c4\u03b1\u0390\u03b6\u03c9 \u03a4\u0391\u03aa\u0301\u0396\u03a9",
        ["\u03c4\u03b1\u0390\u03b6\u03c9"] * 2,
    ),
    ("\u03c4\u1ff6\u03bd \u03a4\u03a9\u0342\u039d", ["\u03c4\u1ff6\u03bd"] * 2),
    ("\u1fb7 \u0391\u0342\u0399 \u1fbc\u0342", ["\u1fb6\u03b9"] * 3),
    ("\u01f0 J\u030c", ["\u01f0", "\u01f0"]),
    ("Zusammen\u00adarbeit Zusammenarbeit", ["zusammenarbeit"] * 2),
    ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ["\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"]),
    ("\ufeffa \u2060a a\ufe0f \u200ea\u200f", ["a"] * 4),
    ("foo\u200bbar", ["foo", "bar"]),
    ("The the THE", ["the", "the", "the"]),
    ("Don\u2019t don't", ["don't", "don't"]),
    ("well-known, 3.5 a_b __ !", ["well", "known", "3.5", "a_b"]),
    ("Stra\u00dfe STRASSE", ["strasse", "strasse"]),
    ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
    ("\uff21\uff22 \ufb01n", ["ab", "fin"]),
    ("\u4f60\u597d", ["\u4f60", "\u597d"]),
    (
        "\u043f\u0440\u0438\u0432\u0435\u0442\u3000\u043c\u0438\u0440",
        ["\u043f\u0440\u0438\u0432\u0435\u0442", "\u043c\u0438\u0440"],
    ),
    ("", []),
    ("\U0001f600 \u2026", []),
]


def counts_of(splitter: Tokenizer, *texts: str) -> dict[str, int]:
    counted = splitter.count(pa.array(texts, pa.string()))
    words = counted.words.to_pylist()
    assert len(set(words)) == len(words)
    return dict(zip(words, counted.counts.to_pylist(), strict=True))


@pytest.mark.parametrize(("text", "words"), JAVA_VECTORS)
def test_java_s_splits_as_the_jdk_does(text: str, words: list[str]) -> None:
    assert tokenizer("java-s").tokens(text) == words


@pytest.mark.parametrize(("text", "words"), UNICODE_VECTORS)
def test_unicode_folds_and_segments(text: str, words: list[str]) -> None:
    assert tokenizer("unicode").tokens(text) == words


def test_whitespace_is_the_split_of_python_for_every_white_space_character() -> None:
    spaces = [chr(code) for code in range(0x110000) if chr(code).isspace()]
    texts = [f"{space}a{space}b{space}{space}" for space in spaces]
    splitter = tokenizer("whitespace")
    assert [splitter.tokens(text) for text in texts] == [["a", "b"]] * len(spaces)
    assert counts_of(splitter, *texts) == {"a": len(spaces), "b": len(spaces)}


@pytest.mark.parametrize("profile", PROFILES)
def test_no_texts_have_no_words(profile: str) -> None:
    assert counts_of(tokenizer(profile)) == {}


def test_white_space_at_the_very_end_of_an_arrow_buffer_still_separates() -> None:
    # Arrow allocates multiples of 64 bytes; its own split reads one character past a full buffer.
    for length in range(1, 256):
        text = "a" * length + "\u3000"
        for _ in range(8):
            assert counts_of(tokenizer("whitespace"), text) == {"a" * length: 1}


def test_a_vowel_sign_after_a_space_keeps_the_space_whatever_is_counted_with_it() -> None:
    splitter = tokenizer("unicode")
    assert splitter.tokens("a \u093f") == ["a", " \u093f"]
    assert counts_of(splitter, "a \u093f", "b\n\u093f") == {"a": 1, " \u093f": 1, "b": 1, "\u093f": 1}


def test_words_of_assigned_characters_are_those_of_this_version_of_the_unicode_profile() -> None:
    # Characters of Unicode 3.2, which every Python knows. If this fails, a library changed words that operators
    # have counted: raise the version of the profile.
    splitter = tokenizer("unicode")
    digest = sha256()
    for code in range(0x110000):
        char = chr(code)
        if unicodedata.ucd_3_2_0.category(char) not in {"Cn", "Cs", "Co"}:
            words = splitter.tokens(
                f"a{char}b {char} 1{char}2 {char}{char}\u05d0{char}\u3042{char}_.{char}'c"
            )
            digest.update("\n".join([*words, ""]).encode())
    assert splitter.identity == "unicode/2"
    assert digest.hexdigest()[:16] == "56c5594b0399fa8c"


@pytest.mark.parametrize("profile", PROFILES)
def test_half_a_surrogate_pair_reads_as_the_replacement_character(profile: str) -> None:
    assert tokenizer(profile).tokens("a\ud800b") == tokenizer(profile).tokens("a\ufffdb")
    assert tokenizer(profile).tokens("\ufeffa \U00010400") == tokenizer(profile).tokens(
        "\ufeffa \ud801\udc00"
    )


def test_no_character_grows_more_than_the_bound_when_it_is_folded() -> None:
    chars = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    growth = max(len(fold(char).encode()) / len(char.encode()) for char in chars)
    assert growth == MAX_GROWTH


def test_characters_that_are_ignorable_by_default_are_left_out_and_no_others() -> None:
    # As DerivedCoreProperties.txt derives them, of characters that this Python knows; the rest is listed there as reserved.
    formats = {code for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"}
    visible = {*range(0xFFF9, 0xFFFC), *range(0x13430, 0x13440)}
    numbers_over = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    selectors = {*range(0x180B, 0x180E), 0x180F, *range(0xFE00, 0xFE10)}
    others = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0, *range(0xFFF0, 0xFFF9)}
    ignorable = formats - visible - numbers_over | selectors | others | {*range(0xE0000, 0xE1000)}
    left_out = {code for code in SCALARS if not fold(f"a{chr(code)}b").removeprefix("a").removesuffix("b")}
    assert left_out == ignorable - {0x200B}


@pytest.mark.slow
def test_every_character_is_one_word_however_it_is_normalised_and_in_whatever_case() -> None:
    dotless = "\u0131"  # Its capital is that of i.
    for char in map(chr, SCALARS):
        word = fold(char)
        assert unicodedata.is_normalized("NFKC", word)
        assert fold(word) == word
        spellings = {unicodedata.normalize(form, char) for form in ("NFC", "NFD", "NFKC", "NFKD")}
        if char != dotless:
            spellings |= {char.upper(), char.lower(), char.title(), char.casefold()}
        assert {fold(spelling) for spelling in spellings} == {word}, f"U+{ord(char):04X}"


@pytest.mark.slow
def test_what_is_folded_the_usual_way_is_folded_as_defined() -> None:
    marks = "\u0301\u0308\u0327\u0342\u3099\u05b0"
    usual = [char for char in map(chr, SCALARS) if not re.search(_UNUSUAL, char)]
    for start in range(0, len(usual), 512):
        text = "\n".join(f"{char} {char}{marks} \u03b1{char}\u0301" for char in usual[start : start + 512])
        assert _fold_usual(text) == fold(text), f"U+{ord(usual[start]):04X} to U+{ord(text[-2]):04X}"


def test_every_character_is_folded_as_unicode_d146_matches_it() -> None:
    def caseless(text: str) -> str:
        folded = text
        for form in ("NFD", "NFKD"):
            folded = unicodedata.normalize(form, folded).casefold()
        return unicodedata.normalize("NFKD", folded)

    for char in map(chr, SCALARS):
        if not _IGNORABLE.search(char) and char not in "\u200b\u2019":
            assert unicodedata.normalize("NFKD", fold(char)) == caseless(char), f"U+{ord(char):04X}"


def test_options_drop_words_and_say_how_many() -> None:
    splitter = tokenizer("unicode", stop_words=["The", " don\u2019t", ""], min_length=2, max_length=5)
    text = "the don't a ab abcde abcdef the \u4f60"
    assert splitter.tokens(text) == ["ab", "abcde"]
    counted = splitter.count(pa.array([text, "THE"]))
    assert sorted(counted.words.to_pylist()) == ["ab", "abcde"]
    assert counted.dropped == {"stop_word": 4, "too_short": 2, "too_long": 1}


def test_lengths_are_characters_not_bytes() -> None:
    assert tokenizer("whitespace", max_length=2).tokens("\U0001f600\U0001f600 abc") == [
        "\U0001f600\U0001f600"
    ]
    assert counts_of(tokenizer("whitespace", min_length=3), "\u00e9\u00e9 \u00e9\u00e9\u00e9") == {
        "\u00e9\u00e9\u00e9": 1
    }


def test_the_empty_word_of_java_s_is_not_too_short() -> None:
    splitter = tokenizer("java-s", min_length=3)
    assert splitter.tokens(" ab abc") == ["", "abc"]
    assert counts_of(splitter, " ab abc") == {"": 1, "abc": 1}


def test_identity_names_profile_and_version_and_changes_with_each_option() -> None:
    assert [tokenizer(profile).identity for profile in PROFILES] == ["java-s/1", "whitespace/1", "unicode/2"]
    identities = [
        tokenizer("unicode").identity,
        tokenizer("unicode", min_length=2).identity,
        tokenizer("unicode", max_length=2).identity,
        tokenizer("unicode", stop_words=["a", "b"]).identity,
        tokenizer("unicode", stop_words=["ab"]).identity,
    ]
    assert len(set(identities)) == len(identities)
    assert identities[3].startswith("unicode/2+")


def test_identity_does_not_depend_on_how_options_are_written() -> None:
    first = tokenizer("unicode", stop_words=["The", "a"])
    assert tokenizer("unicode", stop_words=[" a ", "the", "THE"]).identity == first.identity
    assert first.identity == "unicode/2+27e05d2ee812"


@pytest.mark.parametrize(
    ("profile", "options", "named"),
    [
        ("unicode", {"stop_words": ["e-mail"]}, ["WORDCOUNT_STOP_WORDS", "'e-mail'", "['e', 'mail']"]),
        ("whitespace", {"stop_words": ["a b"]}, ["WORDCOUNT_STOP_WORDS", "'a b'"]),
    ],
)
def test_a_stop_word_that_is_not_one_word_is_refused_by_the_name_of_its_setting(
    profile: str, options: dict, named: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        tokenizer(profile, **options)
    assert [part for part in named if part not in str(refused.value)] == []
