"""`wordcount tokenize`: shows the words of each line of a text, as a worker would count them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli_options import Profile
from app.output import holds_unicode
from app.printable import json_text, printable
from tables.errors import BadRequestError

if TYPE_CHECKING:
    from agents.text.tokenizer import Tokenizer
    from app.produce.text_files import LineBlock


def tokenize(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="Text, also .gz or .zst.")] = "-",
    profile: Profile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line is a JSON string, and becomes a JSON array of strings.")
    ] = False,
) -> None:
    """Show the words of each line, as they would be counted.

    The settings of the profile, stop words and word lengths apply.
    """
    from app.config.loading import load_settings
    from app.config.text import tokenizer_of
    from app.produce.text_files import TextFiles

    settings = load_settings(profile=profile)
    tokens = tokenizer_of(settings)
    answer = _json_answers(tokens) if as_json else _plain_answers(tokens)
    for block in TextFiles([file]).blocks():
        try:
            for line in answer(block):
                sys.stdout.write(f"{line}\n")
        finally:
            # A program that sends the next line only after the answer to the last line must not wait for a full buffer.
            sys.stdout.flush()


def _plain_answers(tokens: Tokenizer) -> Callable[[LineBlock], Iterator[str]]:
    def answers(block: LineBlock) -> Iterator[str]:
        for line in block.lines:
            yield printable(" ".join(tokens.tokens(line.decode("utf-8", "replace"))))

    return answers


def _json_answers(tokens: Tokenizer) -> Callable[[LineBlock], Iterator[str]]:
    from agents.text.value_format import JsonFormat, UnreadableError

    text_of = JsonFormat().text_of

    ascii_only = not holds_unicode(sys.stdout)

    def answers(block: LineBlock) -> Iterator[str]:
        for number, line in enumerate(block.lines, block.first_line):
            try:
                text = text_of(line)
            except UnreadableError:
                raise BadRequestError(
                    f"{block.source}, line {number} is not a JSON string: {line[:80]!r}",
                    "quote each line as JSON, or leave --json out",
                ) from None
            yield json_text(tokens.tokens(text), ascii_only=ascii_only)

    return answers
