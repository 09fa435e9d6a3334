"""How the settings read text: the tokeniser, the value format and the policies that they ask for."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from agents.text.choices import Policies
from agents.text.tokenizer import Tokenizer, tokenizer
from agents.text.value_format import ValueFormat, value_format

if TYPE_CHECKING:
    from app.config.settings import Settings


def tokenizer_of(settings: Settings) -> Tokenizer:
    """What makes words of texts.

    Raises:
        ConfigurationError: a stop word is not one word of the profile.
    """
    return tokenizer(
        settings.profile,
        stop_words=settings.stop_words,
        min_length=settings.min_word_length,
        max_length=settings.max_word_length,
    )


def value_format_of(settings: Settings) -> ValueFormat:
    """What finds the texts of values."""
    return value_format(settings.value_format, settings.json_pointer)


def policies_of(settings: Settings) -> Policies:
    """What becomes of records and words that are not plain text."""
    return Policies(**{policy.name: getattr(settings, policy.name) for policy in fields(Policies)})
