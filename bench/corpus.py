"""The corpora of the benchmarks: seeded, with equal lines on every machine; the natural text depends on CPython's version."""

from __future__ import annotations

import os
import pydoc_data.topics
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

VOCABULARY_WORDS = 200_000
ZIPF_EXPONENT = 1.05
ZIPF_SHIFT = 2.7
OCCURRENCES = 2
"""Number of occurrences of each word of the corpus `distinct`."""

_CHUNK_LINES = 50_000
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
_NOT_LIBRARY = {"__pycache__", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}


@dataclass(frozen=True)
class Corpus:
    """A text of any length.

    Attributes:
        lines: makes chunks of lines; the argument is the number of lines in all.
        about: the corpus in a few words.
        natural: whether the words depend on the tokeniser's profile; otherwise every profile splits the text at spaces only.
    """

    lines: Callable[[int], Iterator[list[bytes]]]
    about: str
    natural: bool = False


def vocabulary(size: int = VOCABULARY_WORDS) -> list[str]:
    """Return `size` distinct made-up words, the most frequent first; frequent words are short, as in natural text."""
    words: list[str] = []
    for rank in range(size):
        word, rest = "", rank
        while True:
            word += _LETTERS[rest % len(_LETTERS)]
            rest = rest // len(_LETTERS) - 1
            if rest < 0:
                break
        words.append(word)
    return words


def zipf_lines(lines: int, words_per_line: int = 10, seed: int = 1) -> Iterator[list[bytes]]:
    """Yield chunks of lines whose words are drawn from a Zipf-Mandelbrot distribution.

    Args:
        lines: number of lines.
        words_per_line: number of words in each line.
        seed: seed of numpy's PCG64.
    """
    words = np.array([word.encode() for word in vocabulary()], object)
    cumulative = _cumulative(len(words))
    for random, count in _chunks(lines, seed, words_per_line):
        ranks = np.searchsorted(cumulative, random.random(count * words_per_line))
        yield _joined(words[ranks], words_per_line)


def hot_word_lines(lines: int, seed: int = 2) -> Iterator[list[bytes]]:
    """Yield chunks of lines of 10 words; half of all words are one word, which a shuffle by word cannot spread over workers."""
    words = np.array([word.encode() for word in vocabulary()], object)
    cumulative = _cumulative(len(words))
    for random, count in _chunks(lines, seed):
        drawn = words[np.searchsorted(cumulative, random.random(count * 10))]
        drawn[random.random(count * 10) < 0.5] = b"the"
        yield _joined(drawn, 10)


def distinct_lines(lines: int, distinct: int | None = None, seed: int = 3) -> Iterator[list[bytes]]:
    """Yield chunks of lines of 10 words in random order; all words are equally frequent.

    Args:
        lines: number of lines.
        distinct: number of distinct words; None = as many as occur `OCCURRENCES` times each.
        seed: seed of numpy's PCG64.
    """
    total = lines * 10
    order = np.random.default_rng(seed).permutation(total) % (distinct or total // OCCURRENCES)
    for start in range(0, total, _CHUNK_LINES * 10):
        numbers = order[start : start + _CHUNK_LINES * 10].tolist()
        words = [b"w%07d" % number for number in numbers]
        yield [b" ".join(words[i : i + 10]) for i in range(0, len(words), 10)]


def long_tail_lines(lines: int, seed: int = 6) -> Iterator[list[bytes]]:
    """Yield chunks of lines of 10 words.

    Five words of a line are drawn from a Zipf-Mandelbrot distribution. The other five occur twice in the text, once in each half.
    """
    words = np.array([word.encode() for word in vocabulary()], object)
    cumulative = _cumulative(len(words))
    rare, number = lines * 10 // 2 // OCCURRENCES, 0
    for random, count in _chunks(lines, seed):
        drawn = np.empty((count, 10), object)
        drawn[:, ::2] = words[np.searchsorted(cumulative, random.random((count, 5)))]
        numbers = (np.arange(number, number + count * 5) % rare).tolist()
        drawn[:, 1::2] = np.array([b"w%07d" % each for each in numbers], object).reshape(count, 5)
        number += count * 5
        yield _joined(drawn, 10)


def natural_lines(lines: int, seed: int = 4) -> Iterator[list[bytes]]:
    """Yield chunks of lines that are drawn, with replacement, from the documentation in Python's standard library."""
    source = np.array(library_lines(), object)
    for random, count in _chunks(lines, seed):
        yield source[random.integers(0, len(source), count)].tolist()


@cache
def library_lines() -> list[bytes]:
    """Return the lines of the language reference behind `help()`, and of all texts in triple quotes in the standard library."""
    folder = Path(os.__file__).parent
    texts = [pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)]
    for path in sorted(folder.rglob("*.py")):
        if not _NOT_LIBRARY & set(path.relative_to(folder).parts):
            texts += re.findall(r'"""(.*?)"""', path.read_text("utf-8", "replace"), re.DOTALL)
    return [line.strip().encode() for text in texts for line in text.splitlines() if line.strip()]


CORPORA: Mapping[str, Corpus] = {
    "zipf": Corpus(zipf_lines, "10-word lines, Zipf-Mandelbrot, 200,000 words"),
    "long-lines": Corpus(lambda lines: zipf_lines(lines, 150), "the same words in lines of 150 (1 KB)"),
    "one-word": Corpus(lambda lines: zipf_lines(lines, 1), "the same words, one a message"),
    "hot-word": Corpus(hot_word_lines, "one word is half of all"),
    "distinct": Corpus(distinct_lines, "every word occurs twice, far apart"),
    "long-tail": Corpus(
        long_tail_lines, "half of the words are of Zipf-Mandelbrot, half occur twice, far apart"
    ),
    "natural": Corpus(natural_lines, "English: documentation of Python's standard library", natural=True),
}


def _chunks(lines: int, seed: int, words_per_line: int = 10) -> Iterator[tuple[np.random.Generator, int]]:
    random = np.random.default_rng(seed)
    at_once = max(1, _CHUNK_LINES if words_per_line <= 10 else _CHUNK_LINES * 10 // words_per_line)
    for start in range(0, lines, at_once):
        yield random, min(at_once, lines - start)


def _joined(words: npt.NDArray[np.object_], words_per_line: int) -> list[bytes]:
    return [b" ".join(line) for line in words.reshape(-1, words_per_line).tolist()]


def _cumulative(size: int) -> npt.NDArray[np.float64]:
    weights = 1.0 / (np.arange(1, size + 1) + ZIPF_SHIFT) ** ZIPF_EXPONENT
    return np.cumsum(weights / weights.sum())
