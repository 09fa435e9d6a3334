"""Questions to workers and their replies: what was asked, what came, and what it says in JSON, NDJSON, CSV or headers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

NDJSON = "application/x-ndjson"
CSV = "text/csv"
AS_OF_HEADER = "wordcount-as-of"
COMPLETE_HEADER = "wordcount-complete"
KEPT_HEADERS = (AS_OF_HEADER, COMPLETE_HEADER)
"""The headers of replies that the judge looks at, in lower case."""

Positions = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a worker.

    Attributes:
        kind: name of the kind in reports; the judge judges by it.
        path: path of the resource.
        parameters: parameters of the query.
        words: the words that are asked for; of a range, its first and last word.
        after: the last word of the page before, where a page is asked for.
        accept: media type that is asked for; "" = the default.
        covers: partition -> offset of a record that the answer has to cover.
    """

    kind: str
    path: str
    parameters: Mapping[str, str | int]
    words: Sequence[str] = ()
    after: str | None = None
    accept: str = ""
    covers: Positions = field(default_factory=dict)

    @property
    def wait_s(self) -> float:
        """Longest time that the worker is to wait for the records in `covers`."""
        return int(self.parameters.get("wait_ms", 0)) / 1000

    @property
    def is_long(self) -> bool:
        """Whether the answer consists of pages that are made one after the other, each as of positions of its own."""
        return self.kind in {"NDJSON dump", "CSV dump", "range"}


@dataclass(frozen=True, slots=True)
class Span:
    """As of which positions the counts of an answer are: none is as of less than `least` or more than `most`.

    Attributes:
        least: partition -> next offset to count, of the first count; None = the answer does not say.
        most: the same of the last count; None = the answer does not say.
    """

    least: Positions | None
    most: Positions | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a question; times are those of the monotonic clock.

    Attributes:
        question: the question.
        worker: name of the worker that was asked.
        sent_s: time before the question was sent.
        received_s: time when the whole reply was there, or the failure.
        status: status code; 0 = the connection failed; -1 = no reply within the client's timeout.
        body: the reply as it came.
        headers: those of `KEPT_HEADERS` that the reply had.
    """

    question: Question
    worker: str
    sent_s: float
    received_s: float
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_answer(self) -> bool:
        """Whether this is an answer, which may also be that a word does not occur."""
        return self.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}

    @property
    def is_not_yet_counted(self) -> bool:
        """Whether this says that the records in `covers` are not counted yet."""
        return self.status == HTTPStatus.GATEWAY_TIMEOUT and bool(self.question.covers)

    def json(self) -> Any:
        """Return the parsed body; of NDJSON its last line."""
        is_lines = self.question.accept == NDJSON and self.is_answer
        return msgspec.json.decode(self.body.splitlines()[-1] if is_lines and self.body else self.body)

    def pairs(self) -> list[tuple[str, int]]:
        """Return the words of a list with their counts, in the order of the answer."""
        if self.question.accept == NDJSON:
            lines = [msgspec.json.decode(line) for line in self.body.splitlines()[:-1]]
            return [(line["word"], line["count"]) for line in lines]
        if self.question.accept == CSV:
            _, *rows = csv.reader(io.StringIO(self.body.decode(), newline=""))
            return [(word, int(count)) for word, count in rows]
        body = self.json()
        if isinstance(body, list):
            return [(each["key"], each["value"]) for each in body]
        return [(each["word"], each["count"]) for each in body["words"]]

    def span(self) -> Span:
        """Return as of which positions an answer is, by its body or its headers."""
        try:
            body = None if self.question.accept == CSV or self.body[:1] == b"[" else self.json()
        except msgspec.DecodeError:
            return Span(None, None)
        if isinstance(body, dict) and "as_of" in body:
            most = _positions(body["as_of"])
            return Span(_positions(body["first_as_of"]) if "first_as_of" in body else most, most)
        if (text := self.headers.get(AS_OF_HEADER)) is not None:
            least = _positions(dict(part.split(":") for part in text.split(",") if part))
            return Span(least, None if self.question.is_long else least)
        return Span(None, None)

    def __str__(self) -> str:
        question = f"{self.question.path} {dict(self.question.parameters)} {list(self.question.words)}"
        form = f" {self.question.accept}" if self.question.accept else ""
        times = f"sent {self.sent_s:.4f}, received {self.received_s:.4f}"
        body = self.body if len(self.body) <= 1500 else self.body[:1000] + b" ... " + self.body[-500:]
        text = " ".join(body.decode("utf-8", "replace").split())
        return f"{self.worker} {question}{form}, {times}: {self.status} {dict(self.headers)} {text}"


def _positions(found: Mapping[str, Any]) -> Positions:
    return {int(number): int(position) for number, position in found.items()}
