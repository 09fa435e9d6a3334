"""Characters that act on a terminal are escaped in printed words."""

import pytest

from app.printable import json_text, printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve 日本 ❤\ufe0f 👩", "naïve 日本 ❤\ufe0f 👩"),
        ("👩\u200d👩", r"👩\u200d👩"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\nb\r\x00\x7f", r"a\nb\r\x00\x7f"),
        ("\x9b31m\u2028\u202e", r"\x9b31m\u2028\u202e"),
        ("\u061cа\u200b\ufeff\u2060\u2066\u200e", r"\u061cа\u200b\ufeff\u2060\u2066\u200e"),
        ("\U000e0041\ud800", r"\U000e0041\ud800"),
    ],
)
def test_what_acts_on_a_terminal_is_escaped_and_the_rest_is_kept(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_json_keeps_what_it_says_and_line_ends_of_ours_are_kept() -> None:
    assert json_text({"a\u202e": "\x7f\U000e0041é"}) == r'{"a\u202e":"\u007f\udb40\udc41é"}'
    assert json_text("é", ascii_only=True) == r'"\u00e9"'
    assert printable_lines("one\n\x1btwo") == "one\n\\x1btwo"
