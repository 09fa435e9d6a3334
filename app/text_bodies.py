"""Bodies of requests with texts over HTTP, and of their answers; as in `app.bodies`."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from app.bodies import BY_PARTITION, Count, Occurrences

MOST_TEXT_BYTES: Final = 16_384
"""Largest text whose words are shown, in bytes of UTF-8."""


class TextsSent(Struct, frozen=True, forbid_unknown_fields=True):
    """Texts that are to be counted."""

    texts: Annotated[
        list[str],
        Meta(description="The texts, each of which becomes a record.", extra_json_schema={"minItems": 1}),
    ]


class TextLine(Struct, frozen=True, forbid_unknown_fields=True):
    """A line of NDJSON with a text; a line may also be the text alone, as a JSON string."""

    text: Annotated[str, Meta(description="The text, which becomes a record.")]


class TextsTaken(Struct, frozen=True):
    """Texts that are in the input topic: all in-sync replicas have them."""

    accepted: Annotated[Occurrences, Meta(description="Number of texts, which is all that were sent.")]
    partitions: Annotated[
        dict[Count, Occurrences],
        Meta(
            description="Partition → offset after the last of these texts. They are counted once `as_of` of an answer is at least "
            "that.",
            extra_json_schema=BY_PARTITION,
        ),
    ]
    after: Annotated[
        str,
        Meta(
            description="`after` of a question whose answer has to cover these texts: partition and offset of the last ones."
        ),
    ]


class TextAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """A text whose words are asked for."""

    text: Annotated[str, Meta(description=f"The text, {MOST_TEXT_BYTES:,} bytes in UTF-8 at most.")]


class Token(Struct, frozen=True):
    """A word of a text."""

    start: Annotated[
        Count, Meta(description="Place of its first character in the text; the first one has 0.")
    ]
    end: Annotated[
        Count,
        Meta(
            description="Place after its last character. Places count characters (code points), so that a character beyond U+FFFF is "
            "one, which is two in JavaScript."
        ),
    ]
    text: Annotated[str, Meta(description="The characters from `start` to `end`.")]
    word: Annotated[str, Meta(description="What is counted for them: the word, normalised by the profile.")]
    left_out: Annotated[
        str | UnsetType,
        Meta(
            description="Why the word is not counted, a reason as in `dropped_words` of `Stats`; absent if it is counted."
        ),
    ] = UNSET


class Tokens(Struct, frozen=True):
    """The words of a text, as a worker counts them."""

    profile: Annotated[str, Meta(description="Name of the rules that make words of texts.")]
    words: Annotated[
        dict[str, Occurrences],
        Meta(description="Word → how often it is counted, in the order of the text."),
    ]
    tokens: Annotated[list[Token], Meta(description="The words in the order of the text.")]


TEXT_BODIES: Final = (TextsSent, TextLine, TextsTaken, TextAsked, Tokens)
