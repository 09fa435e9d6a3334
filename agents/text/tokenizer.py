r"""Tokenisation and normalisation: what a word is, by three profiles. Each profile has a slow definition and a fast count.

`tokens` defines a profile: the words of one text. `count` counts the words of a whole buffer of texts, and its result must equal
counting `tokens` of every text. `count` is fast because cutting a text at ASCII white space does not change the words of the text. So
the buffer is cut there, Arrow counts the chunks (and releases the GIL meanwhile), and only the *distinct* chunks, a fifth of all
chunks or less, go through the profile's own rules.

Profiles (`PROFILES`):
    java-s: Java's `String.split("\s")`. Separators are exactly space, \t, \n, \v, \f and \r; neighbouring
        separators enclose an empty word; empty words at the end are left out, but a text without any
        separator is one word, even the empty text.
    whitespace: Python's `str.split()`. Unicode white space separates; no empty words; case is kept.
    unicode: (1) Characters that are ignorable by default (Unicode, DerivedCoreProperties) are left out, except U+200B.
        (2) U+2019 becomes an apostrophe. (3) NFKD, full case folding and NFKC are applied, so that spellings which match by
        definition D146 of the Unicode Standard become the same word, as with NFKC_Casefold. (4) Words are the segments between the
        word boundaries of Unicode Standard Annex 29 that contain a letter or a digit.

The identity of a profile contains the version of these rules, not the version of Unicode. Normalisation and case folding never change
for an assigned character (Unicode stability policy). So a newer Python changes only words with characters that the older Python did
not know, and counts remain usable when an image is updated. A test pins the words of assigned characters: if a new version of a
library changes these words, the version of the profile has to rise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import Final, get_args
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from unicode_segmentation_rs import split_word_bounds, unicode_words

from agents.text.choices import ProfileName
from tables.errors import ConfigurationError

# A word has at most this many times the UTF-8 bytes of its text: NFKC turns the 3 bytes of U+FDFA into 33 bytes.
MAX_GROWTH: Final = 11

_JAVA_SEPARATORS: Final = " \t\n\x0b\f\r"

# All code points, assigned or not, with Default_Ignorable_Code_Point except U+200B, which texts contain where a word ends.
_IGNORABLES: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_IGNORABLE: Final = re.compile(f"[{_IGNORABLES}]")

# The characters that `_fold_usual` does not fold correctly: ignorable characters, and the Greek iota subscript, alone or on a vowel.
_UNUSUAL: Final = (
    f"[{_IGNORABLES}\u0345\u037a\u1f80-\u1faf\u1fb2-\u1fb7\u1fbc\u1fc2-\u1fc7\u1fcc\u1ff2-\u1ff7\u1ffc]"
)

# Chunks that are processed as Python strings together: the GIL is held for a few ms, even if each chunk is a line of Chinese.
_CHUNKS_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True)
class CountedWords:
    """Distinct words in no particular order.

    Attributes:
        words: `pyarrow.StringArray`, no nulls.
        counts: `pyarrow.Int64Array`, occurrences of the word with the same index, all > 0.
        dropped: occurrences left out by an option or a policy, by reason (`agents.text.tally.DROP_REASONS`).
    """

    words: pa.StringArray
    counts: pa.Int64Array
    dropped: Mapping[str, int] = field(default_factory=dict)

    def without(self, mask: pa.BooleanArray, reason: str) -> CountedWords:
        """Return these counts without the words where `mask` is true; their occurrences are added to `dropped[reason]`."""
        occurrences = pc.sum(self.counts.filter(mask)).as_py()
        if not occurrences:
            return self
        dropped = {**self.dropped, reason: self.dropped.get(reason, 0) + occurrences}
        kept = pc.invert(mask)
        return CountedWords(self.words.filter(kept), self.counts.filter(kept), dropped)


@dataclass(frozen=True, slots=True)
class _Profile:
    identity: str
    tokens: Callable[[str], list[str]]
    count: Callable[[pa.StringArray], CountedWords]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A profile with its options; built by `tokenizer`, which checks them.

    Attributes:
        profile: one of `PROFILES`.
        stop_words: words left out, in the profile's own spelling.
        min_length: shortest word kept, in characters, inclusive; the empty word of `java-s` is always kept.
        max_length: longest word kept, in characters, inclusive; None = no bound.
    """

    profile: ProfileName
    stop_words: frozenset[str] = frozenset()
    min_length: int = 1
    max_length: int | None = None

    @property
    def identity(self) -> str:
        """Name of the rules that make words of texts: `profile/version`, and a digest of the options if any is set."""
        identity = _PROFILES[self.profile].identity
        if not self.stop_words and self.min_length == 1 and self.max_length is None:
            return identity
        options = "\0".join([str(self.min_length), str(self.max_length), *sorted(self.stop_words)])
        return f"{identity}+{sha256(options.encode()).hexdigest()[:12]}"

    def tokens(self, text: str) -> list[str]:
        """Return the words of one text in order; the result of `count` must agree with this definition.

        A lone surrogate, which a command line or a JSON string may contain but a record may not, is read as U+FFFD.
        """
        return [word for word in _PROFILES[self.profile].tokens(sound(text)) if self.left_out(word) is None]

    def left_out(self, word: str) -> str | None:
        """Return why an option leaves out a word of the profile, one of `agents.text.tally.DROP_REASONS`; None = none does."""
        if word in self.stop_words:
            return "stop_word"
        if word and len(word) < self.min_length:
            return "too_short"
        return "too_long" if self.max_length is not None and len(word) > self.max_length else None

    def count(self, texts: pa.StringArray) -> CountedWords:
        """Count the words of many texts (no nulls). Hold the GIL for a few ms at a time."""
        counted = _PROFILES[self.profile].count(texts)
        if self.stop_words:
            stop_words = pa.array(sorted(self.stop_words), pa.string())
            counted = counted.without(pc.is_in(counted.words, value_set=stop_words), "stop_word")
        if self.min_length > 1:
            length = pc.utf8_length(counted.words)
            short = pc.and_(pc.less(length, self.min_length), pc.greater(length, 0))
            counted = counted.without(short, "too_short")
        if self.max_length is not None:
            long = pc.greater(pc.utf8_length(counted.words), self.max_length)
            counted = counted.without(long, "too_long")
        return counted


def tokenizer(
    profile: ProfileName,
    *,
    stop_words: Iterable[str] = (),
    min_length: int = 1,
    max_length: int | None = None,
) -> Tokenizer:
    """Build the tokenizer of a profile.

    Args:
        profile: one of `PROFILES`.
        stop_words: words to leave out, spelled as in a text: the profile is applied to each. Blank entries are ignored.
        min_length: shortest word to keep, in characters, >= 1.
        max_length: longest word to keep, in characters, >= min_length; None = no bound.

    Raises:
        ConfigurationError: the profile makes no word, or several words, of a stop word; the message names the setting.
    """
    assert min_length >= 1
    assert max_length is None or max_length >= min_length
    stripped = (word.strip() for word in stop_words)
    stops = frozenset(_stop_word(profile, word) for word in stripped if word)
    return Tokenizer(profile, stops, min_length, max_length)


def sound(text: str) -> str:
    """Return `text` with U+FFFD for each lone surrogate."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _stop_word(profile: ProfileName, text: str) -> str:
    words = _PROFILES[profile].tokens(text)
    if len(words) != 1:
        raise ConfigurationError(
            f"WORDCOUNT_STOP_WORDS has {text!r}, which is not one word of profile {profile} but {words}",
            "list single words, separated by commas",
        )
    return words[0]


def _counted(words: pa.StringArray) -> CountedWords:
    pairs = pc.value_counts(words)
    return CountedWords(pairs.field("values"), pairs.field("counts"))


def _summed(words: pa.StringArray, counts: npt.NDArray[np.int64]) -> CountedWords:
    """Add up `counts` by word: `words[i]`, which may repeat, occurs `counts[i]` times."""
    encoded = words.dictionary_encode()
    sums = np.zeros(len(encoded.dictionary), np.int64)
    np.add.at(sums, encoded.indices.to_numpy(), counts)
    return CountedWords(encoded.dictionary, pa.array(sums))


def _resplit(chunks: CountedWords, pieces: pa.ListArray) -> CountedWords:
    """Replace each chunk by its pieces (at least one). Return `chunks` itself if every chunk has one piece only."""
    words = pc.list_flatten(pieces)
    if len(words) == len(chunks.words):
        return chunks
    return _summed(words, chunks.counts.to_numpy()[pc.list_parent_indices(pieces).to_numpy()])


def _ascii_chunks(texts: pa.StringArray) -> CountedWords:
    return _counted(pc.list_flatten(pc.ascii_split_whitespace(texts)))


def _java_tokens(text: str) -> list[str]:
    words = re.split(f"[{_JAVA_SEPARATORS}]", text)
    if len(words) > 1:
        while words and not words[-1]:
            words.pop()
    return words


def _java_count(texts: pa.StringArray) -> CountedWords:
    # Once the separators at its end are removed, a text may be split by one separator after the other. A text that consists of
    # separators has no word, but would yield an empty word: such texts are removed.
    trimmed = pc.ascii_rtrim(texts, _JAVA_SEPARATORS)
    blank = pc.and_(pc.equal(pc.binary_length(trimmed), 0), pc.greater(pc.binary_length(texts), 0))
    if pc.any(blank).as_py():
        trimmed = trimmed.filter(pc.invert(blank))
    counted = _counted(pc.list_flatten(pc.split_pattern(trimmed, " ")))
    if _resplit(counted, pc.ascii_split_whitespace(counted.words)) is not counted:
        for separator in _JAVA_SEPARATORS[1:]:
            counted = _resplit(counted, pc.split_pattern(counted.words, separator))
    return counted


def _whitespace_count(texts: pa.StringArray) -> CountedWords:
    # Arrow's ASCII split leaves 0x1C-0x1F and white space beyond ASCII inside a chunk. Arrow's Unicode split knows all white space
    # that `str.split` knows, but after white space decodes one character more, even at the end of a full buffer: the split then
    # depends on foreign memory and is lost at random. A further chunk at the end prevents this.
    chunks = _ascii_chunks(texts)
    pieces = pc.utf8_split_whitespace(pa.concat_arrays([chunks.words, pa.array(["."])]))
    counted = _resplit(chunks, pieces.slice(0, len(chunks.words)))
    # Both splits yield an empty string for white space at the beginning or end of a text.
    kept = pc.not_equal(counted.words, "")
    return CountedWords(counted.words.filter(kept), counted.counts.filter(kept))


def fold(text: str) -> str:
    """Normalise a text as profile `unicode` is defined.

    NFKD comes before case folding: otherwise the iota below a capital letter would precede the marks above that letter.
    """
    spelled = _IGNORABLE.sub("", text).replace("\u2019", "'")
    return normalize("NFKC", normalize("NFKD", spelled).casefold())


def _fold_usual(text: str) -> str:
    """Return `fold(text)` of a text without characters of `_UNUSUAL`; fast if most of the text is normalised already."""
    if text.isascii():
        return text.lower()
    return normalize("NFKC", normalize("NFKC", text.replace("\u2019", "'")).casefold())


def _unicode_tokens(text: str) -> list[str]:
    return list(unicode_words(fold(text)))


def _unicode_count(texts: pa.StringArray) -> CountedWords:
    chunks = _ascii_chunks(texts)
    plain = pc.ascii_is_alnum(chunks.words)
    words = [pc.ascii_lower(chunks.words.filter(plain))]
    counts = [chunks.counts.filter(plain).to_numpy()]
    others = pc.invert(plain)
    other_chunks, other_counts = _ascii_first(chunks.words.filter(others), chunks.counts.filter(others))
    for start in range(0, len(other_chunks), _CHUNKS_AT_ONCE):
        # Newline joins the chunks: no chunk contains a newline, and neither normalisation nor case folding reaches across a newline
        # or creates a newline.
        folded = _folded(_joined(other_chunks.slice(start, _CHUNKS_AT_ONCE))).split("\n")
        if _lean_on_space(folded):
            return _count_one_by_one(texts)
        found = [unicode_words(chunk) for chunk in folded]
        words.append(pa.array(list(chain.from_iterable(found)), pa.string()))
        times = np.fromiter(map(len, found), np.int64, len(found))
        counts.append(np.repeat(other_counts[start : start + _CHUNKS_AT_ONCE], times))
    return _summed(pa.concat_arrays(words), np.concatenate(counts))


def _ascii_first(
    chunks: pa.StringArray, counts: pa.Int64Array
) -> tuple[pa.StringArray, npt.NDArray[np.int64]]:
    """Reorder chunks so that ASCII chunks come first: a non-ASCII chunk among ASCII chunks would cause all to be normalised."""
    ascii_only = pc.string_is_ascii(chunks)
    masks = (ascii_only, pc.invert(ascii_only))
    ordered = pa.concat_arrays([chunks.filter(mask) for mask in masks])
    return ordered, np.concatenate([counts.filter(mask).to_numpy() for mask in masks])


def _joined(chunks: pa.StringArray) -> pa.StringArray:
    whole = pa.ListArray.from_arrays(pa.array([0, len(chunks)], pa.int32()), chunks)
    return pc.binary_join(whole, "\n")


def _folded(text: pa.StringArray) -> str:
    """Return `fold` of the only text in `text`. Arrow searches for characters four times as fast as `re`, without the GIL."""
    joined = str(text[0].as_py())
    unusual = not joined.isascii() and pc.match_substring_regex(text, _UNUSUAL)[0].as_py()
    return fold(joined) if unusual else _fold_usual(joined)


def _lean_on_space(folded: list[str]) -> bool:
    """Return whether the words of any chunk change when a space precedes the chunk.

    A space and the combining marks after it form one segment, and a segment with an alphabetic mark (for example a vowel sign of
    Devanagari) is a word. The space is part of that word, so the text must not be cut at the space.
    """
    firsts = {chunk[:1] for chunk in folded}
    leaning = tuple(first for first in firsts if first and split_word_bounds(f" {first}")[0] != " ")
    return bool(leaning) and any(
        unicode_words(f" {chunk}") != unicode_words(chunk) for chunk in folded if chunk.startswith(leaning)
    )


def _count_one_by_one(texts: pa.StringArray) -> CountedWords:
    counts: Counter[str] = Counter()
    for start in range(0, len(texts), _CHUNKS_AT_ONCE):
        for text in texts.slice(start, _CHUNKS_AT_ONCE).to_pylist():
            counts.update(_unicode_tokens(text))
    return CountedWords(pa.array(counts.keys(), pa.string()), pa.array(counts.values(), pa.int64()))


_PROFILES: Final[Mapping[ProfileName, _Profile]] = {
    "java-s": _Profile("java-s/1", _java_tokens, _java_count),
    "whitespace": _Profile("whitespace/1", str.split, _whitespace_count),
    "unicode": _Profile("unicode/2", _unicode_tokens, _unicode_count),
}
PROFILES: Final = get_args(ProfileName)
