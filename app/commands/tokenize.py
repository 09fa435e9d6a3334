"""`wordcount tokenize`: what the profile makes of each line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tables.errors import BadRequestError

if TYPE_CHECKING:
    from agents.tokenizer import Tokenizer
    from app.text_files import LineBlock


def tokenize(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="Text, also .gz or .zst.")] = "-",
    profile: Annotated[str | None, typer.Option("--profile", help="WORDCOUNT_PROFILE")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line is a JSON string, and becomes a JSON array of strings.")
    ] = False,
) -> None:
    """Show the words of each line, as they would be counted.

    The settings of the profile, stop words and word lengths apply.
    """
    from agents.tokenizer import tokenizer
    from app.settings import load_settings
    from app.text_files import TextFiles

    settings = load_settings(profile=profile)
    tokens = tokenizer(
        settings.profile,
        stop_words=settings.stop_words,
        min_length=settings.min_word_length,
        max_length=settings.max_word_length,
    )
    answer = _json_answers(tokens) if as_json else _plain_answers(tokens)
    out = sys.stdout.buffer
    for block in TextFiles([file]).blocks():
        try:
            for line in answer(block):
                out.write(line)
        finally:
            # Who waits for the answer to a line before sending the next one gets it.
            out.flush()


def _plain_answers(tokens: Tokenizer) -> Callable[[LineBlock], Iterator[bytes]]:
    def answers(block: LineBlock) -> Iterator[bytes]:
        for line in block.lines:
            yield " ".join(tokens.tokens(line.decode("utf-8", "replace"))).encode() + b"\n"

    return answers


def _json_answers(tokens: Tokenizer) -> Callable[[LineBlock], Iterator[bytes]]:
    import msgspec

    from agents.value_format import JsonFormat, UnreadableError

    text_of = JsonFormat().text_of

    def answers(block: LineBlock) -> Iterator[bytes]:
        for number, line in enumerate(block.lines, block.first_line):
            try:
                text = text_of(line)
            except UnreadableError:
                raise BadRequestError(
                    f"{block.source}, line {number} is not a JSON string: {line[:80]!r}",
                    "quote each line as JSON, or leave --json out",
                ) from None
            yield msgspec.json.encode(tokens.tokens(text)) + b"\n"

    return answers
