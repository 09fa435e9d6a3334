"""Tokeniser, value format and policies, built from the settings."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from agents.text.choices import Policies
from agents.text.tokenizer import Tokenizer, tokenizer
from agents.text.value_format import ValueFormat, value_format

if TYPE_CHECKING:
    from app.config.settings import Settings


def tokenizer_of(settings: Settings) -> Tokenizer:
    """Return the tokeniser, which makes words of texts.

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
    """Return the value format, which finds the text in a record's value."""
    return value_format(settings.value_format, settings.json_pointer)


def policies_of(settings: Settings) -> Policies:
    """Return the policies, which decide about records and words that are not plain text."""
    return Policies(**{policy.name: getattr(settings, policy.name) for policy in fields(Policies)})
