"""The examples of docs/reference/words.md are what the profile does."""

import json
import re
from pathlib import Path

import pytest

from agents.text.tokenizer import tokenizer

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "words.md"
EXAMPLES = re.findall(r'^\| [^|]*`("[^|]*")`[^|]* \| `(\[.*\])` \|$', PAGE.read_text("utf-8"), re.MULTILINE)


def test_examples_are_found() -> None:
    assert len(EXAMPLES) == 17


@pytest.mark.parametrize(("written", "words"), EXAMPLES)
def test_an_example_has_these_words(written: str, words: str) -> None:
    assert tokenizer("unicode").tokens(json.loads(written)) == json.loads(words)


def test_the_page_names_the_identity_of_the_rules() -> None:
    assert f"`{tokenizer('unicode').identity}`" in PAGE.read_text("utf-8")
