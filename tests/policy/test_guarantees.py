"""Every sentence of docs/guarantees.md names tests that exist and that pytest collects."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
TEXT = PAGE.read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[^`\s]+::[^`\s]+)`", TEXT)))


def rows() -> list[list[str]]:
    """Cells of all rows of all tables, without the heads."""
    found: list[list[str]] = []
    for table in re.findall(r"(?:^\|.*\|\n)+", TEXT, re.MULTILINE):
        head, rule, *body = table.splitlines()
        assert head.endswith("| Shown by |"), head
        assert re.fullmatch(r"\|(-+\|)+", rule), rule
        found += [[cell.strip() for cell in row.strip("|").split("|")] for row in body]
    return found


@cache
def collected_from(file: str) -> set[str]:
    """Names that pytest collects from a file: the tests at the top level of a module called test_*.py."""
    path = ROOT / file
    assert re.fullmatch(r"tests/.*/test_\w+\.py", file), f"{file} is not collected"
    assert path.is_file(), f"{file} does not exist"
    return {
        node.name
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("named", NAMED)
def test_a_named_test_exists(named):
    file, _, name = named.partition("::")
    assert name in collected_from(file), named


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_every_sentence_is_shown_by_a_test_and_says_something(row):
    *said, shown = row
    assert all(said)
    assert re.fullmatch(r"`tests/[^`\s]+::test_\w+`(, `tests/[^`\s]+::test_\w+`)*", shown), shown


def test_every_section_has_its_table():
    sections = TEXT.split("\n## ")[1:]
    assert len(sections) >= 7
    for section in sections:
        assert "| Shown by |" in section, section.splitlines()[0]


def test_every_test_of_hostile_input_shows_a_sentence():
    files = [str(file.relative_to(ROOT)) for file in ROOT.glob("tests/integration/data/test_hostile_*.py")]
    assert files
    assert {f"{file}::{name}" for file in files for name in collected_from(file)} <= set(NAMED)


def test_the_readme_leads_here():
    assert "(docs/guarantees.md)" in (ROOT / "README.md").read_text("utf-8")
