"""What a word cannot do to a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve 日本 👩‍👩", "naïve 日本 👩‍👩"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\nb\r\x00\x7f", r"a\nb\r\x00\x7f"),
        ("\x9b31m\u2028\u202e", r"\x9b31m\u2028\u202e"),
    ],
)
def test_what_acts_on_a_terminal_is_escaped_and_the_rest_is_kept(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert not {unicodedata.category(character) for character in printable(text)} & {"Cc", "Zl", "Zp"}
