"""The judge of recorded answers: each must be whole and exactly right for its `as_of`, and no answer may be behind an earlier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
import numpy as np

from tests.chaos.history import History


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a worker.

    Attributes:
        kind: name of the kind in reports.
        path: path of the resource.
        parameters: parameters of the query.
        words: the words that are asked for.
        after: the last word of the page before, where a page is asked for.
    """

    kind: str
    path: str
    parameters: Mapping[str, str | int]
    words: Sequence[str] = ()
    after: str | None = None


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
    """

    question: Question
    worker: str
    sent_s: float
    received_s: float
    status: int
    body: bytes = b""

    @property
    def is_answer(self) -> bool:
        """Whether this is an answer, which may also be that a word does not occur."""
        return self.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}

    def json(self) -> Any:
        """Return the parsed body."""
        return msgspec.json.decode(self.body)

    def as_of(self) -> dict[int, int]:
        """Return partition -> next offset to count, of an answer."""
        return {int(number): position for number, position in self.json()["as_of"].items()}

    def __str__(self) -> str:
        question = f"{self.question.path} {dict(self.question.parameters)} {list(self.question.words)}"
        times = f"sent {self.sent_s:.4f}, received {self.received_s:.4f}"
        return (
            f"{self.worker} {question}, {times}: {self.status} {self.body[:1500].decode('utf-8', 'replace')}"
        )


def fault_of(reply: Reply, history: History, partitions: int) -> str:
    """Return what is wrong with an answer by the recount; "" = the answer is right."""
    body, as_of = reply.json(), reply.as_of()
    if as_of.keys() != set(range(partitions)) or body["complete"] is not True or body["missing_partitions"]:
        return "it is not whole and has no status 503"
    question = reply.question
    match question.kind:
        case "word" | "absent word":
            count = body["count"] if reply.status == HTTPStatus.OK else 0
            return _differs(count, history.count(question.words[0], as_of))
        case "batch":
            found = [(each["word"], each["count"]) for each in body["words"]]
            return _differs(found, [(word, history.count(word, as_of)) for word in question.words])
        case "page":
            page = _pairs(body), body["next_cursor"] is not None
            parameters = question.parameters
            prefix, limit = str(parameters["prefix"]), int(parameters["limit"])
            return _differs(page, history.page(prefix, question.after, limit, as_of))
        case "top 10" | "top 100":
            return _top_fault(body, history, int(question.parameters["k"]), as_of)
        case "stats":
            return _differs((body["records"], body["words"]), history.totals(as_of))
    raise AssertionError(f"nobody judges {question.kind}")


def fallen(replies: Sequence[Reply]) -> list[tuple[Reply, Reply, int]]:
    """Return (earlier answer, later answer, partition) where the later one was asked for afterwards and is as of less."""
    answers = sorted((reply for reply in replies if reply.is_answer), key=lambda reply: reply.received_s)
    if not answers:
        return []
    positions = [answer.as_of() for answer in answers]
    numbers = sorted(set[int]().union(*positions))
    matrix = np.array([[at.get(number, -1) for number in numbers] for at in positions], np.int64)
    most = np.maximum.accumulate(matrix)
    received = np.array([answer.received_s for answer in answers])
    found = []
    for place, answer in enumerate(answers):
        before = int(np.searchsorted(received, answer.sent_s)) - 1
        if before < 0:
            continue
        for column in np.flatnonzero((matrix[place] >= 0) & (matrix[place] < most[before])):
            earlier = int(np.argmax(matrix[: before + 1, column] == most[before, column]))
            found.append((answers[earlier], answer, numbers[column]))
    return found


def _top_fault(body: Any, history: History, k: int, as_of: Mapping[int, int]) -> str:
    listed = _pairs(body)
    if len(listed) < k:
        return _differs(listed, history.above(1, as_of)[:k])
    last = listed[-1][1]
    if body["exact"]:
        return _differs(listed, history.above(last, as_of)[:k])
    if listed != sorted(listed, key=lambda pair: (-pair[1], pair[0].encode())):
        return "the words are not in order"
    for word, count in listed:
        if fault := _differs(count, history.count(word, as_of)):
            return f"{word}: {fault}"
    words = {word for word, _ in listed}
    for word, count in history.above(last + body["max_error"] + 1, as_of):
        if word not in words:
            return f"{word} occurs {count} times and is not listed, max_error is {body['max_error']}"
    return ""


def _pairs(body: Any) -> list[tuple[str, int]]:
    return [(each["word"], each["count"]) for each in body["words"]]


def _differs(found: object, right: object) -> str:
    return "" if found == right else f"{str(found)[:500]} was answered, the recount has {str(right)[:500]}"
