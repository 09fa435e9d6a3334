"""An explanation of how a text is split: each word of the profile, with its place in the text and why it is left out, if it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from unicodedata import combining, normalize

from unicode_segmentation_rs import split_word_bounds, unicode_words

from agents.text.choices import Policies
from agents.text.tokenizer import Tokenizer, fold, sound

_Span = tuple[int, int, str]
"""Start and end (exclusive) of a word in the text, in characters, and the word."""

_Piece = tuple[int, str]
"""Length of a piece of the text, in characters, and what the piece becomes when it is folded."""


@dataclass(frozen=True, slots=True)
class ExplainedWord:
    """A word of a text.

    Attributes:
        start, end: place of the word in the text, in characters (code points), `end` exclusive. Words that come from one character
            have the same place, such as the four words of `㍿`.
        text: the characters in that place.
        word: the word, normalised by the profile.
        left_out: why the word is not counted, one of `agents.text.tally.DROP_REASONS`; None = it is counted.
    """

    start: int
    end: int
    text: str
    word: str
    left_out: str | None


def explained(tokenizer: Tokenizer, policies: Policies, text: str) -> list[ExplainedWord]:
    """Return all words that the profile finds in `text`, in order; those without `left_out` are what a worker counts.

    Args:
        tokenizer: the profile and its options.
        policies: decide about empty and about oversized words.
        text: the text, read as `Tokenizer.tokens` reads it.
    """
    text = sound(text)
    match tokenizer.profile:
        case "java-s":
            spans = _java_spans(tokenizer, text)
        case "whitespace":
            spans = ((found.start(), found.end(), found[0]) for found in re.finditer(r"\S+", text))
        case "unicode":
            spans = _unicode_spans(text)
    return [
        ExplainedWord(start, end, text[start:end], word, tokenizer.left_out(word) or _refused(policies, word))
        for start, end, word in spans
    ]


def _refused(policies: Policies, word: str) -> str | None:
    if not word and policies.on_empty_word == "skip":
        return "empty"
    return "oversized" if len(word.encode()) > policies.max_word_bytes else None


def _java_spans(tokenizer: Tokenizer, text: str) -> Iterator[_Span]:
    """Yield the words of profile `java-s`: one separator is between a word and the next one."""
    start = 0
    for word in Tokenizer(tokenizer.profile).tokens(text):
        yield start, start + len(word), word
        start += len(word) + 1


def _unicode_spans(text: str) -> Iterator[_Span]:
    """Yield the words of profile `unicode`: those of the folded text, at the characters that they come from."""
    pieces = _pieces(text)
    folded = "".join(piece for _, piece in pieces)
    starts = list(accumulate((length for length, _ in pieces), initial=0))
    # Index of the piece that each folded character comes from.
    origin = [index for index, (_, piece) in enumerate(pieces) for _ in piece]
    words = iter(unicode_words(folded))
    word = next(words, None)
    place = 0
    for segment in split_word_bounds(folded):
        # A segment that is no word has neither letter nor digit, so that it equals none.
        if segment == word:
            yield starts[origin[place]], starts[origin[place + len(segment) - 1] + 1], word
            word = next(words, None)
        place += len(segment)


def _pieces(text: str) -> list[_Piece]:
    """Cut `text` into pieces as small as possible that together become `fold(text)`, each folded alone."""
    # Neither normalisation nor case folding reaches across ASCII white space.
    pieces: list[_Piece] = []
    for chunk in re.findall(r"[ \t-\r]+|[^ \t-\r]+", text):
        single = [(1, fold(character)) for character in chunk]
        if "".join(folded for _, folded in single) == fold(chunk):
            pieces += single
        else:
            pieces += [(len(cluster), fold(cluster)) for cluster in _clusters(chunk)]
    return pieces


def _clusters(chunk: str) -> Sequence[str]:
    """Cut `chunk` where the next character begins a normalised text anew: it neither moves before nor joins those before it."""
    cuts = [0]
    for index in range(1, len(chunk)):
        character = chunk[index]
        folded = fold(character)
        if not folded or combining(normalize("NFKD", character)[0]) or combining(folded[0]):
            continue
        cluster = chunk[cuts[-1] : index]
        if fold(cluster + character) == fold(cluster) + folded:
            cuts.append(index)
    return [chunk[start:end] for start, end in pairwise([*cuts, len(chunk)])]
