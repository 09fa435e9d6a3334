"""Which answers of another worker can be answers to a question at all."""

from __future__ import annotations

from typing import Any

from app.reads.questions import LeadersAsked, Leading, PageAsked, Told, is_sound


def test_a_page_that_is_not_in_order_or_too_long_is_not_sound() -> None:
    question = PageAsked(partitions=[0], prefix=b"", start=b"", limit=2)

    def told(*words: tuple[bytes, int]) -> Told[Any]:
        return Told([*words], {0: 1}, {0: "active"}, {}, {})

    assert is_sound(question, told((b"a", 1), (b"b", 1)))
    assert not is_sound(question, told((b"b", 1), (b"a", 1)))
    assert not is_sound(question, told((b"a", 1), (b"a", 1)))
    assert not is_sound(question, told((b"a", 1), (b"b", 1), (b"c", 1)))
    assert not is_sound(question, told((b"a", 1), (b"\xff", 1)))


def test_a_page_of_other_words_than_were_asked_for_is_not_sound() -> None:
    question = PageAsked(partitions=[0], prefix=b"b", start=b"bc", limit=2)
    for word, sound in ((b"bd", True), (b"bb", False), (b"c", False)):
        assert is_sound(question, Told([(word, 1)], {0: 1}, {0: "active"}, {}, {})) is sound


def test_top_words_that_are_no_text_or_told_twice_are_not_sound() -> None:
    question = LeadersAsked(partitions=[0], k=2)
    for words, sound in (((b"a", b"b"), True), ((b"a", b"a"), False), ((b"a", b"\xed\xa0\x80"), False)):
        leading = Leading([(word, 1) for word in words], 0, True)
        assert is_sound(question, Told(leading, {0: 1}, {0: "active"}, {}, {})) is sound
