"""Each word of a text with its place, and why it is left out."""

import time

import pytest

from agents.text.choices import Policies
from agents.text.explained import explained
from agents.text.tokenizer import tokenizer


def places(profile, text, policies=None, **options):
    """(start, end, text, word) of each word."""
    found = explained(tokenizer(profile, **options), policies or Policies(), text)
    return [(one.start, one.end, one.text, one.word) for one in found]


def left_out(profile, text, policies=None, **options):
    found = explained(tokenizer(profile, **options), policies or Policies(), text)
    return [(one.word, one.left_out) for one in found]


def test_words_of_profile_unicode_have_the_place_of_what_was_written():
    assert places("unicode", "The “ﬁn” of Straße, 3.14!") == [
        (0, 3, "The", "the"),
        (5, 7, "ﬁn", "fin"),
        (9, 11, "of", "of"),
        (12, 18, "Straße", "strasse"),
        (20, 24, "3.14", "3.14"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cafe\u0301 x", [(0, 5, "cafe\u0301", "café"), (6, 7, "x", "x")]),
        ("Zusammen\u00adarbeit", [(0, 15, "Zusammen\u00adarbeit", "zusammenarbeit")]),
        ("\ufeffab", [(1, 3, "ab", "ab")]),
        ("\u1112\u1161\u11ab", [(0, 3, "\u1112\u1161\u11ab", "한")]),
        ("😀 👍a", [(3, 4, "a", "a")]),
        ("㍿", [(0, 1, "㍿", word) for word in "株式会社"]),
        ("Ω\u0345\u0301", [(0, 3, "Ω\u0345\u0301", "ώι")]),
        ("foo\u200bbar", [(0, 3, "foo", "foo"), (4, 7, "bar", "bar")]),
        ("a\ud800b", [(0, 1, "a", "a"), (2, 3, "b", "b")]),
        ("", []),
    ],
)
def test_characters_that_become_one_stay_together(text, found):
    assert places("unicode", text) == found


def test_words_of_the_other_profiles_have_their_place_too():
    assert places("whitespace", " a\u3000bC ") == [(1, 2, "a", "a"), (3, 5, "bC", "bC")]
    assert places("java-s", "a  b ") == [(0, 1, "a", "a"), (2, 2, "", ""), (3, 4, "b", "b")]


def test_a_word_that_is_not_counted_says_why():
    options = {"stop_words": ["The"], "min_length": 2, "max_length": 5}
    assert left_out("unicode", "the a lazy elephant", **options) == [
        ("the", "stop_word"),
        ("a", "too_short"),
        ("lazy", None),
        ("elephant", "too_long"),
    ]
    policies = Policies(max_word_bytes=3, on_empty_word="skip")
    assert left_out("java-s", "ab  éé", policies) == [("ab", None), ("", "empty"), ("éé", "oversized")]


@pytest.mark.parametrize(
    "text", ["가" * 5000, "\u3042\u3099" * 2500, "a" + "\u0301" * 8000, "\u1100\u1161" * 2500]
)
def test_a_hostile_text_of_the_largest_size_takes_no_second(text):
    began = time.process_time()
    places("unicode", text)
    assert time.process_time() - began < 1
