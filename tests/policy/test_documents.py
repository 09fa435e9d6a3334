"""The documents name only what exists, and their figures are those of the result file."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from typer.core import TyperGroup

from app.cli import command_line
from app.config.loading import FORMER_NAMES
from app.config.settings import Settings
from app.config.types import variable
from app.web.openapi import document
from app.web.resources.version import version_info
from bench.table import END, README, RESULT, START, table, with_table

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "agents", "tables")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOLDERS = {"app", "agents", "tables", "tests", "bench", "docs", "helm", "deploy", "requirements", ".ci"}
HOSTS = {"github.com", "keepachangelog.com", "semver.org", "127.0.0.1"}
"""Hosts that documents may link to, besides the reserved names below `.example`; a package registry is not among them."""

PAGES = pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))


def code_spans(text: str) -> list[str]:
    """What stands in single backticks, outside of code blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def code_blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def command_lines(text: str) -> list[list[str]]:
    """Commands in `sh` blocks and code spans, as words; comments left out, and what follows a pipe apart."""
    lines = [line for block in code_blocks(text, "sh") for line in block.splitlines()] + code_spans(text)
    return [part.split() for line in lines for part in re.sub(r"(^|\s)#.*", "", line).split("|")]


def anchors(page: Path) -> set[str]:
    """Fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def where_table() -> list[tuple[str, str]]:
    """(module or folder, name in it or nothing) of the table in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    section = text.split("## Where it is decided")[1].split("\n## ")[0]
    rows = re.findall(r"^\| .+ \| `([^`]+)` \| (?:`([^`]+)` )?\|$", section, re.MULTILINE)
    assert len(rows) == section.count("\n| ") - 1, "a row of the table cannot be read"
    return rows


def names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Names that a module defines, members of classes as `Class.member`."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
            case ast.ClassDef(name=name):
                yield prefix + name
                yield from names(node.body, f"{prefix}{name}.")
            case ast.Assign(targets=targets):
                yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name
            case ast.Try():
                yield from names(node.body, prefix)


@PAGES
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / unquote(path)).resolve() if path else page
        assert file.exists(), target
        assert not fragment or fragment in anchors(file), target


@PAGES
def test_named_files_and_folders_exist(page):
    for span in code_spans(page.read_text("utf-8")):
        if span.split("/")[0] in FOLDERS and re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", span) and "/" in span:
            assert (ROOT / span).exists(), span


@PAGES
def test_named_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([\w./-]+):(?!=)", makefile, re.MULTILINE))
    for words in command_lines(page.read_text("utf-8")):
        if words[:1] == ["make"]:
            for word in words[1:]:
                name, is_variable, _ = word.partition("=")
                assert (
                    (f"$({name})" in makefile or f"{name} ?=" in makefile) if is_variable else name in targets
                ), words


@PAGES
def test_named_commands_and_flags_exist(page):
    root = command_line()
    for words in command_lines(page.read_text("utf-8")):
        if (
            words
            and words[0] in {"wordcount", ".venv/bin/wordcount"}
            and re.fullmatch("[a-z]+", " ".join(words[1:2]))
        ):
            command = root.get_command(None, words[1])
            assert command is not None, words
            if isinstance(command, TyperGroup) and words[2:]:
                command = command.commands[words[2]]
            flags = {flag for parameter in command.params for flag in parameter.opts}
            given = {word.split("=")[0] for word in words if word.startswith("--")}
            assert given <= flags | {"--help", "--"}, words


@PAGES
def test_named_variables_are_settings(page):
    known = {variable(name) for name in Settings.model_fields} | {"WORDCOUNT_SECRETS_DIR"}
    if page.name == "CHANGELOG.md":
        known |= FORMER_NAMES.keys()
    named = set(re.findall(r"WORDCOUNT_[A-Z0-9_]*[A-Z0-9]", page.read_text("utf-8")))
    assert named <= known


@PAGES
def test_named_resources_exist(page):
    api = document(version_info())
    paths, terms = api["paths"], set(api["components"]["parameters"])
    for span in code_spans(page.read_text("utf-8")):
        if not (
            found := re.fullmatch(
                r"(?:GET |POST )?(/(?:v1/|state/|livez|readyz|metrics|version|openapi|count/)\S*)", span
            )
        ):
            continue
        asked = urlsplit(found[1].rstrip("?"))
        if asked.path == "/v1":
            continue
        kept = [path for path in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked.path)]
        assert kept, span
        (operation,) = paths[kept[0]].values()
        known = terms | {entry["name"] for entry in operation["parameters"] if "name" in entry}
        assert {name for name, _ in parse_qsl(asked.query, keep_blank_values=True)} <= known, span


@PAGES
def test_no_place_of_a_machine_and_no_foreign_host(page):
    text = page.read_text("utf-8")
    assert not re.search(r"(?<![\w.])(/home/|/root/|/Users/|/work/|/tmp/\w|[A-Z]:\\)", text)
    named = {urlsplit(url).hostname for url in re.findall(r"https?://[^\s,)\"'`>]+", text)}
    assert {host for host in named if not host.endswith(".example")} <= HOSTS


@PAGES
def test_python_in_documents_compiles(page):
    for block in code_blocks(page.read_text("utf-8"), "python"):
        compile(block, str(page), "exec")


def test_defaults_in_readme_are_the_settings():
    rows = re.findall(r"^\| (`WORDCOUNT_.+?) \| (.+?) \|", README.read_text("utf-8"), re.MULTILINE)
    assert rows
    for variables, defaults in rows:
        shown = [default.strip("`") for default in defaults.split(", ")]
        fields = {variable(name): field for name, field in Settings.model_fields.items()}
        real = [str(fields[name].default) or "empty" for name in re.findall(r"`(\w+)`", variables)]
        assert shown == real


def test_figures_in_readme_are_those_of_the_result_file():
    text = README.read_text("utf-8")
    assert with_table(text, json.loads(RESULT.read_bytes())) == text, "run: python -m bench.table"


def test_readme_has_no_other_figures_of_speed():
    text = README.read_text("utf-8")
    rest = text[: text.index(START)] + text[text.index(END) :]
    assert not re.search(
        r"\d\s*(k|M|million)?\s*(words|rows|records|messages)(/s| a second| per second)", rest
    )
    assert not re.search(r"(times|x|×) (as fast|faster)", rest)


def test_a_wrong_count_would_be_shown():
    report = json.loads(RESULT.read_bytes())
    report["cases"][0]["verified"] = False
    assert "| NO |" in table(report)


def test_every_row_of_the_where_table_names_what_exists():
    for place, name in where_table():
        path = ROOT / place
        assert path.exists(), place
        if name:
            assert name in set(names(ast.parse(path.read_text("utf-8")).body)), f"{place}: {name}"


def test_every_folder_has_a_row_with_its_question():
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rows = text.split("\n## Folders")[1].split("\n## ")[0]
    folders = {module.parent for package in PACKAGES for module in (ROOT / package).rglob("*.py")}
    assert {f"{folder.relative_to(ROOT)}/" for folder in folders} == set(re.findall(r"`([\w/]+/)`", rows))


def test_decisions_are_numbered_and_have_their_parts():
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    for number, page in enumerate(decisions, 1):
        assert page.name.startswith(f"{number:04}-")
        lines = page.read_text("utf-8").splitlines()
        assert lines[0].startswith(f"# {number}. ")
        parts = [line for line in lines if line.startswith("## ")]
        assert parts == ["## Context", "## Decision", "## Consequences"], page.name


def test_every_dependency_has_its_reason():
    page = (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text("utf-8")
    first_cells = re.findall(r"^\| ([^|]+?)(?: \(.+?\))? \|", page, re.MULTILINE)
    reasoned = {name.lower() for cell in first_cells for name in cell.split(", ")}
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pinned = [
        *pyproject["project"]["dependencies"],
        *pyproject["project"]["optional-dependencies"]["broker"],
        *pyproject["dependency-groups"]["dev"],
    ]
    for requirement in pinned:
        assert re.match(r"[\w-]+", requirement)[0].lower() in reasoned, requirement


def test_hooks_run_the_tools_of_make_check():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    check = makefile.split("\ncheck:")[1].split("\n\n")[0]
    tools = re.findall(r"\$\(BIN\)/([\w-]+)", check)
    assert tools
    for tool in tools:
        assert f".venv/bin/{tool}" in hooks


def test_readme_names_the_kafka_that_is_fetched():
    version = re.search(r":kafka_2\.13:(\S+) ", (ROOT / "app" / "local" / "jars.lock").read_text("utf-8"))[1]
    assert f"Apache Kafka {version}" in README.read_text("utf-8")
