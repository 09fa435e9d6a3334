"""The reference pages of `docs/reference/`, made from the code that they describe: `python -m app.reference` writes them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from app.bodies import MOST_WORDS_ASKED, Freshness, Version
from app.config.settings import Settings
from app.config.types import expectation, is_secret, variable
from app.kafka.access import ACCESS
from app.reads.pace import LEAST_STEP_S, MOST_STEP_S
from app.web.connections import ANSWER_S, HEADERS_BYTES, MOST_CONNECTIONS, MOST_HEADERS, REQUEST_S
from app.web.openapi import document
from app.web.problems import OTHERS, PROBLEMS
from app.web.request_bodies import MOST_BYTES, MOST_HELD_BYTES
from app.worker.sampled_metrics import sampled_metrics
from tables.kafka.rights import Right, Rights
from tables.model.names import changelog_topic, dead_letter_topic, watches_topic

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "reference"
PACKAGES = ("app", "agents", "tables")
"""The packages of the product, in the order of their imports."""


def settings_page() -> str:
    """List all settings with their values and defaults."""
    rows = [
        (f"`{variable(name)}`", field.description or "", expectation(field), _default(field))
        for name, field in Settings.model_fields.items()
    ]
    return _page(
        "Settings",
        [
            "The value of a setting comes from the first of these sources that has it:",
            "",
            "1. flags of the command line;",
            "2. environment variables with the names below;",
            "3. a file `.env` in the working directory, with the same names;",
            "4. files in the folder `WORDCOUNT_SECRETS_DIR`: the name of a file is the name of the variable, its content is the "
            "value. Such a folder is a mounted Kubernetes Secret, or Docker's `/run/secrets`;",
            "5. the default.",
            "",
            "If the default is none, an empty value means none. A process does not start, and names the cause in one line, if a value "
            "is out of bounds, if a name begins with `WORDCOUNT_` but is not in the table, or if two values contradict each "
            "other. Secrets are never shown.",
            "",
            *_table(("Variable", "What it does", "Takes", "Default"), rows),
        ],
    )


def metrics_page() -> str:
    """List all metrics with their labels."""
    rows = []
    for family in sampled_metrics().registry.collect():
        if family.name.startswith("wordcount_"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            shown = ", ".join(f"`{label}`" for label in sorted(labels))
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            rows.append((f"`{family.name}{suffix}`", family.type, shown, family.documentation))
    return _page(
        "Metrics",
        [
            "`GET /metrics` returns the Prometheus text format, or OpenMetrics. Counters begin at 0 when the process starts, and "
            "count only flushed records. Gauges describe the partitions of this process. The answer also has the usual metrics of a "
            "Python process (`process_…`, `python_info`).",
            "",
            "The accounting is complete: `wordcount_records_read_total` = `sum(wordcount_records_total)`.",
            "",
            *_table(("Metric", "Type", "Labels", "What it is"), rows),
        ],
    )


def http_page() -> str:
    """List all resources, the members of their answers, and all problems."""
    api = document(Version("", "", ""))
    rows = [
        (
            f"`{method.upper()} {path}`",
            operation["summary"],
            _body(operation),
            _answers(operation),
            _scope(operation),
        )
        for path, item in api["paths"].items()
        for method, operation in item.items()
    ]
    parameters = [
        (f"`{path}`", f"`{parameter['name']}`", parameter["description"], _bounds(parameter["schema"]))
        for path, item in api["paths"].items()
        for operation in item.values()
        for parameter in operation["parameters"]
        if "$ref" not in parameter
    ]
    terms = [
        (f"`{name}`", term["description"], _bounds(term["schema"]))
        for name, term in api["components"]["parameters"].items()
    ]
    word, fresh = api["components"]["schemas"]["Word"], Freshness.__struct_fields__
    members = [
        (f"`{schema['title']}`", f"`{name}`", _type(member), member["description"])
        for schema in api["components"]["schemas"].values()
        for name, member in schema["properties"].items()
        if name not in fresh or not schema["properties"].keys() >= set(fresh)
    ]
    problems = sorted([*PROBLEMS.values(), *OTHERS], key=lambda problem: (problem.status, problem.name))
    return _page(
        "HTTP",
        [
            "Resources take `GET` and `HEAD`, two take `POST` instead. `GET /openapi.json` returns this page as an OpenAPI 3.1 "
            "document. Commands to copy, representations, compression and caching: [Asking over HTTP](../http.md).",
            "",
            *_table(("Resource", "What it answers", "Answer", "Status", "Scope"), rows),
            "",
            "Without `WORDCOUNT_TOKENS_FILE` no resource needs a token; with it, each needs one with the scope of this table, except "
            "where none is named ([access to HTTP](../access-http.md)). Every answer has `X-Content-Type-Options: nosniff`, "
            "`X-Frame-Options: DENY` and `Referrer-Policy: no-referrer`, over TLS also `Strict-Transport-Security`.",
            "",
            "## Freshness",
            "",
            "Every answer of `/v1` has these members, and so has the problem of an unknown word. CSV, and counts of `/count` and "
            "`/state`, have them in headers, such as `Wordcount-As-Of`:",
            "",
            *(f"- `{name}`: {word['properties'][name]['description']}" for name in fresh),
            "",
            "## Answers",
            "",
            "Each answer is a JSON object with these members, besides those of freshness, or an array of such objects. A client "
            "should ignore unknown members: a later version may send more. `WordsAsked` and `TextsSent` are bodies of requests.",
            "",
            *_table(("Answer", "Member", "Type", "What it is"), members),
            "",
            "## The most frequent words",
            "",
            "The counts of listed words are exact. Which words are the most frequent is proven from the 2,048 most frequent "
            "words of each partition, in milliseconds for any number of words. If these words prove nothing, because most words "
            "occur about equally often, the answer has `exact: false` and `max_error`: a word that is not listed occurs at most "
            "`max_error` times more often than the last listed word. With `exact=true` the worker then goes through all words; "
            "over several workers, each tells all words that could be among the first, up to 16,384. The answer is "
            "`query-timeout` if that takes longer than `WORDCOUNT_QUERY_TIMEOUT_MS` or proves nothing. The first questions after "
            "a kill with many stored words may be answered with `incomplete`, while the worker finds the most frequent words of "
            "each partition; a standby answers meanwhile, if there is one.",
            "",
            "The words of a closed window are proven in the same way from the 4,096 most frequent words of each partition, which the "
            "worker that closed the window has kept. Where they are not kept, after a restore and by followers, the rows of the "
            "window are read once; if that outlasts the time of a query, the answer is `query-timeout`, and a later question finds "
            "the words.",
            "",
            "A page of words, a single word and the most frequent words never wait for each other. If too many questions wait, a "
            "further question is answered with `overloaded` at once; in a group the answer is `incomplete` with that reason, unless "
            "another worker can answer. A question ends when its client closes the connection. "
            f"Questions for the most frequent words are answered up to {round(1 / LEAST_STEP_S):,} times a second, by a busy "
            f"worker at least {round(1 / MOST_STEP_S)} times; further questions wait for their turn, or are answered with "
            "`overloaded`.",
            "",
            "## Parameters",
            "",
            *_table(("Resource", "Name", "What it is", "Takes"), parameters),
            "",
            "Every resource with counts also takes the terms of the question:",
            "",
            *_table(("Name", "What it is", "Takes"), terms),
            "",
            "An unknown parameter, a parameter that is given twice, and percent-encoding that is not UTF-8 are answered with "
            "400; a value out of bounds is answered with 422. A page has at most `limit` words, each of at most "
            f"`WORDCOUNT_MAX_WORD_BYTES`. A body has at most {MOST_BYTES:,} bytes and {MOST_WORDS_ASKED:,} words. All bodies "
            "of questions that a process reads or answers at a time, those of other workers among them, have at most "
            f"{MOST_HELD_BYTES:,} bytes; a further one is answered with `overloaded`.",
            "",
            "## Connections",
            "",
            f"The first request has to be complete {REQUEST_S:g} s after the connection was made, a later request {REQUEST_S:g} s "
            f"after its first byte. An answer, or each part of a list without `limit`, has to be read {ANSWER_S:g} s after it is "
            f"ready. There are at most "
            f"{MOST_CONNECTIONS:,} connections, or a quarter of the limit of file descriptors if that is less; if a further "
            f"client connects, an idle connection is closed. A request has at most {MOST_HEADERS} headers; path and headers "
            f"together have at most {HEADERS_BYTES:,} bytes plus three times `WORDCOUNT_MAX_WORD_BYTES`. `Host` has to be an IP "
            "address, `localhost`, or a name in `WORDCOUNT_HTTP_ALLOWED_HOSTS`.",
            "",
            "## Problems",
            "",
            "Errors are `application/problem+json` (RFC 9457); `type` is `urn:problem-type:wordcount:` followed by a name of "
            "this table. An unknown path is answered with `not-found` (404), another method with `method-not-allowed` (405).",
            "",
            *_table(
                ("Name", "Status", "Meaning", "Retry-After"),
                [
                    (f"`{problem.name}`", str(problem.status), problem.title, "yes" if problem.retry else "")
                    for problem in problems
                ],
            ),
        ],
    )


def access_page() -> str:
    """List the rights that each command needs on the brokers."""
    names = {
        "input": "topic `WORDCOUNT_TOPIC`",
        "changelog": f"topic `{changelog_topic('<group>', '<topic>')}`",
        "dead letters": f"topic `{dead_letter_topic('<group>', '<topic>')}`",
        "watches": f"topic `{watches_topic('<group>', '<topic>')}`",
        "group": "group `WORDCOUNT_GROUP`",
    }
    rows = [
        (
            f"`wordcount {command}`",
            names[need.resource],
            ", ".join(need.operations),
            (f"with `WORDCOUNT_{need.setting.upper()}`, " if need.setting else "")
            + (need.for_what or "always"),
        )
        for command, needs in ACCESS.items()
        for need in needs
    ]
    example = Rights("User:wordcount", "kafka:9092").command(Right("Read", "topic", "wordcount-input"))
    return _page(
        "Rights",
        [
            "This page lists the rights (Kafka ACLs) that each command needs. A command works with exactly these rights. If a right "
            "is missing, at the start or later, the command ends with exit code 2 and one line. The line names the user, the right "
            "and the resource, and shows the command that grants the right:",
            "",
            f"    {example}",
            "",
            "Brokers name the user of a login `User:<name>`, and the user of a client certificate `User:<subject>`, unless "
            "`ssl.principal.mapping.rules` defines another name.",
            "",
            *_table(("Command", "Resource", "Operations", "When"), rows),
            "",
            "- If the name of the group has a hyphen, the names of its topics end in the length of the group's name: "
            f"`{changelog_topic('my-group', 'texts')}`.",
            "- Read, Write, Delete and Alter imply Describe. Create may be granted on the topic or on the cluster.",
            "- Producers are idempotent: brokers before Kafka 2.8 also require IdempotentWrite on the cluster.",
            "- A worker checks every 5 seconds whether it still has all its rights, so that it reports a right that was taken away "
            "before a restore or a dead letter needs this right. Brokers before Kafka 2.3 do not answer this question: there the "
            "worker ends when a request is refused.",
            "- `wordcount doctor` needs only the rights in the table, and reports the rights that a worker would lack.",
            "- `wordcount top` and `wordcount get` ask a worker. With `--url` they ask no broker.",
            "- `wordcount run` starts its own broker.",
        ],
    )


def modules_page() -> str:
    """List every module by folder, with the first sentence of its docstring. Files are parsed, never imported."""
    lines = [
        "The first sentence of the docstring of every module, folder by folder. Imports run `app` → `agents` → `tables`, "
        "never the other way.",
    ]
    for folder in _folders():
        init, *modules = sorted(folder.glob("*.py"), key=lambda path: (path.name != "__init__.py", path.name))
        rows = [(f"`{path.relative_to(ROOT)}`", _first_sentence(_docstring(path))) for path in modules]
        lines += ["", f"## {folder.relative_to(ROOT)}/", "", _first_paragraph(_docstring(init))]
        if rows:
            lines += ["", *_table(("Module", "What it is"), rows)]
    return _page("Modules", lines)


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "http.md": http_page,
    "access.md": access_page,
    "modules.md": modules_page,
}


def write_pages() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


def _folders() -> Iterator[Path]:
    """Return every folder of the product that is a Python package: parents first, in the order of `PACKAGES`."""
    for package in PACKAGES:
        yield from sorted(path.parent for path in (ROOT / package).rglob("__init__.py"))


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def _first_sentence(text: str) -> str:
    """Return the first sentence of `text`, which ends at a full stop before a capital letter, or at the end of the paragraph."""
    return re.split(r"(?<=\.) (?=[A-Z])", _first_paragraph(text))[0]


def _default(field: FieldInfo) -> str:
    if is_secret(field) or field.default is None:
        return "none"
    if field.default in ("", ()):
        return "empty"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _answers(operation: dict[str, Any]) -> str:
    return ", ".join(sorted(status for status in operation["responses"] if status != "default"))


def _scope(operation: dict[str, Any]) -> str:
    """Return the scope of a token that an operation needs; "" if it needs none."""
    return "".join(
        f"`{scope}`" for need in operation["security"] for scopes in need.values() for scope in scopes
    )


def _body(operation: dict[str, Any]) -> str:
    """Return name or type of the JSON body of a request that succeeds; "" if the body is not JSON."""
    responses = operation["responses"]
    content = (responses.get("200") or responses["202"])["content"].get("application/json")
    return "" if content is None else _type(content["schema"])


def _type(schema: dict[str, Any]) -> str:
    """Return a JSON schema in words."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "enum" in schema:
        return " or ".join(f'`"{value}"`' for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}"
    if schema["type"] == "object" and "additionalProperties" in schema:
        return f"object of {_type(schema['additionalProperties'])}"
    kind = str(schema["type"])
    bounds = [
        f"{sign} {schema[key]}" for key, sign in (("minimum", ">="), ("maximum", "<=")) if key in schema
    ]
    return " ".join([kind, *bounds])


def _bounds(schema: dict[str, Any]) -> str:
    if schema["type"] == "integer":
        default = f", default {schema['default']}" if "default" in schema else ""
        return f"{schema['minimum']} to {schema['maximum']}{default}"
    if schema["type"] == "boolean":
        return f"true or false, default {str(schema['default']).lower()}"
    return "text"


def _page(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", "Made by `python -m app.reference`; do not edit.", "", *lines, ""])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in cells]


if __name__ == "__main__":
    write_pages()
