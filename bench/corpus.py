"""Fixed, seeded corpora: the same lines on every machine."""

from __future__ import annotations

from collections.abc import Iterator

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
    random = np.random.default_rng(seed)
    for start in range(0, lines, _CHUNK_LINES):
        count = min(_CHUNK_LINES, lines - start)
        ranks = np.searchsorted(cumulative, random.random(count * words_per_line))
        drawn = words[ranks].reshape(count, words_per_line).tolist()
        yield [b" ".join(line) for line in drawn]


def _cumulative(size: int) -> npt.NDArray[np.float64]:
    weights = 1.0 / (np.arange(1, size + 1) + ZIPF_SHIFT) ** ZIPF_EXPONENT
    return np.cumsum(weights / weights.sum())
