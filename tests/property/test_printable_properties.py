"""What is escaped before it is shown, over all of Unicode."""

import json
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from app.printable import json_text, printable

SEEN_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Characters of category Cf that have a shape: signs that stand around Arabic and Kaithi numbers."""

UNSEEN = {
    0x34F,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    *range(0x180B, 0x1810),
    0x3164,
    0xFFA0,
    *range(0xE0000, 0xE1000),
}
"""Characters of other categories that Unicode lets a renderer leave out: Default_Ignorable_Code_Point, without U+FE00 to U+FE0F."""

RESERVED_FORMATS = {0x2065, *range(0xFFF0, 0xFFF9), *range(0x13430, 0x13460)}
"""Not assigned in each version of Unicode, and never anything else."""

TEXTS = st.text(st.characters(exclude_categories=()))


def test_of_every_category_of_unicode_exactly_what_acts_or_is_unseen_is_escaped() -> None:
    wrong = {}
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        acts = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and point not in SEEN_FORMATS
        escaped = printable(character) != character
        if point not in RESERVED_FORMATS and escaped != (acts or point in UNSEEN):
            wrong[f"U+{point:04X}"] = (unicodedata.category(character), escaped)
    assert wrong == {}


@given(TEXTS)
def test_what_is_shown_is_shown_as_it_is(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert len(shown.encode()) >= len(text.encode(errors="replace"))


@given(st.recursive(TEXTS | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_json_says_the_same_and_holds_nothing_that_acts(value: object) -> None:
    for ascii_only in (False, True):
        text = json_text(value, ascii_only=ascii_only)
        assert json.loads(text) == value
        assert printable(text) == text
        assert text.isascii() or not ascii_only
