"""Fixed, seeded corpora: the same lines on every machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

VOCABULARY_WORDS = 200_000
ZIPF_EXPONENT = 1.05
ZIPF_SHIFT = 2.7
_CHUNK_LINES = 50_000
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def vocabulary(size: int = VOCABULARY_WORDS) -> list[str]:
    """`size` distinct made-up words; frequent ones are short, as in natural text."""
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
    """Lines of words drawn from a Zipf-Mandelbrot distribution, in chunks.

    Args:
        lines: number of lines.
        words_per_line: words in each.
        seed: of numpy's PCG64.
    """
    words = np.array([word.encode() for word in vocabulary()], object)
    cumulative = _cumulative(len(words))
    for random, count in _chunks(lines, seed):
        ranks = np.searchsorted(cumulative, random.random(count * words_per_line))
        yield _joined(words[ranks], words_per_line)


def hot_word_lines(lines: int, seed: int = 2) -> Iterator[list[bytes]]:
    """Lines of 10 words of which half are the same word: what a shuffle by word cannot spread."""
    words = np.array([word.encode() for word in vocabulary()], object)
    cumulative = _cumulative(len(words))
    for random, count in _chunks(lines, seed):
        drawn = words[np.searchsorted(cumulative, random.random(count * 10))]
        drawn[random.random(count * 10) < 0.5] = b"the"
        yield _joined(drawn, 10)


CORPORA: dict[str, Callable[[int], Iterator[list[bytes]]]] = {
    "zipf": zipf_lines,
    "long-lines": lambda lines: zipf_lines(lines, words_per_line=150),
    "one-word": lambda lines: zipf_lines(lines, words_per_line=1),
    "hot-word": hot_word_lines,
}
"""By name: a function from a number of lines to chunks of lines."""


def _chunks(lines: int, seed: int) -> Iterator[tuple[np.random.Generator, int]]:
    random = np.random.default_rng(seed)
    for start in range(0, lines, _CHUNK_LINES):
        yield random, min(_CHUNK_LINES, lines - start)


def _joined(words: npt.NDArray[np.object_], words_per_line: int) -> list[bytes]:
    return [b" ".join(line) for line in words.reshape(-1, words_per_line).tolist()]


def _cumulative(size: int) -> npt.NDArray[np.float64]:
    weights = 1.0 / (np.arange(1, size + 1) + ZIPF_SHIFT) ** ZIPF_EXPONENT
    return np.cumsum(weights / weights.sum())
