"""The words of an explanation are those that are counted, at places that say where they come from."""

from itertools import pairwise

import pytest
from hypothesis import given

from agents.text.choices import Policies
from agents.text.explained import _pieces, explained
from agents.text.tokenizer import PROFILES, fold, tokenizer
from tests.property.test_tokenizer_properties import OPTIONS, TEXT


@pytest.mark.parametrize("profile", PROFILES)
@given(text=TEXT, options=OPTIONS)
def test_what_is_not_left_out_is_what_is_counted(profile, text, options):
    options["stop_words"] = {
        word for word in options["stop_words"] if len(tokenizer(profile).tokens(word)) == 1
    }
    splitter = tokenizer(profile, **options)
    found = explained(splitter, Policies(), text)
    assert [one.word for one in found if one.left_out is None] == splitter.tokens(text)
    assert [one.word for one in found] == tokenizer(profile).tokens(text)


@pytest.mark.parametrize("profile", PROFILES)
@given(text=TEXT)
def test_words_stand_where_they_come_from_in_the_order_of_the_text(profile, text):
    found = explained(tokenizer(profile), Policies(), text)
    for one in found:
        assert one.text == text[one.start : one.end]
        assert one.word in (fold(one.text) if profile == "unicode" else one.text)
    for one, other in pairwise(found):
        assert one.start <= other.start
        assert one.end <= other.end


@given(text=TEXT)
def test_pieces_of_a_text_fold_to_the_folded_text(text):
    pieces = _pieces(text)
    assert sum(length for length, _ in pieces) == len(text)
    assert "".join(folded for _, folded in pieces) == fold(text)
