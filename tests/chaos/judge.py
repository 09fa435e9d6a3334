"""The judge of recorded answers: each must be whole and right for its `as_of`, a list of many pages between the positions it names."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import msgspec

from tests.chaos.history import History
from tests.chaos.replies import COMPLETE_HEADER, NDJSON, Positions, Reply, Span

TOLD_BY_HEADERS = {"key value", "range", "CSV dump"}
"""Kinds of questions whose answers have no place in the body for as of what they are."""

Counts = Mapping[str, int]


def fault_of(reply: Reply, history: History, partitions: int, heard: Positions | None = None) -> str:
    """Return what is wrong with an answer by the recount; "" = the answer is right.

    Args:
        reply: an answer, or a reply which says that records are not counted yet.
        history: the recount.
        partitions: number of partitions of the topic.
        heard: the largest positions in answers before the question; an answer that names no positions is as of these at least.
    """
    try:
        return (
            _delay_fault(reply)
            if reply.is_not_yet_counted
            else _fault_of(reply, history, partitions, heard or {})
        )
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        return f"it cannot be read: {error!r}"


def _fault_of(reply: Reply, history: History, partitions: int, heard: Positions) -> str:
    span, question = reply.span(), reply.question
    if not _is_whole(reply, span, partitions):
        return "it is not whole and has no status 503"
    least = heard if span.least is None else span.least
    most = history.ends if span.most is None else span.most
    if behind := [number for number, offset in question.covers.items() if least.get(number, 0) <= offset]:
        return f"it does not cover the records {question.covers}: partitions {behind} are as of {least}"
    match question.kind:
        case "word" | "absent word" | "own write" | "key value":
            name = "value" if question.kind == "key value" else "count"
            count = reply.json()[name] if reply.status == HTTPStatus.OK else 0
            word = question.words[0]
            return _outside(word, count, history.count(word, least), history.count(word, most))
        case "batch":
            return _differs(reply.pairs(), [(word, history.count(word, most)) for word in question.words])
        case "page":
            page = reply.pairs(), reply.json()["next_cursor"] is not None
            prefix, limit = str(question.parameters["prefix"]), int(question.parameters["limit"])
            return _differs(page, history.page(prefix, question.after, limit, most))
        case "top 10" | "top 100" | "exact top":
            return _top_fault(reply, history, most)
        case "stats":
            body = reply.json()
            return _differs((body["records"], body["words"]), history.totals(most))
        case "NDJSON dump" | "CSV dump":
            prefix = str(question.parameters["prefix"])
            lists = [history.starting_with(prefix, as_of) for as_of in (least, most)]
            return _list_fault(reply, span, *lists)
        case "range":
            first, last = question.words
            return _list_fault(reply, span, *(history.within(first, last, as_of) for as_of in (least, most)))
    raise AssertionError(f"nobody judges {question.kind}")


def _is_whole(reply: Reply, span: Span, partitions: int) -> bool:
    """Return whether an answer is over all partitions, as far as it says so."""
    positions = [at for at in (span.least, span.most) if at is not None]
    if any(at.keys() != set(range(partitions)) for at in positions):
        return False
    if reply.status == HTTPStatus.OK and reply.question.kind in TOLD_BY_HEADERS:
        return reply.headers.get(COMPLETE_HEADER, "true") == "true"
    body = reply.json()
    if reply.question.accept == NDJSON and "words" not in body:
        return False
    return bool(positions) and body["complete"] is True and not body["missing_partitions"]


def _delay_fault(reply: Reply) -> str:
    """Return what is wrong with a reply which says that the records in `covers` are not counted yet."""
    as_of, covers = reply.json()["as_of"], reply.question.covers
    if all(as_of.get(str(number), 0) > offset for number, offset in covers.items()):
        return f"it says that {covers} is not counted yet, and is as of {as_of}"
    return ""


def _top_fault(reply: Reply, history: History, as_of: Positions) -> str:
    body, listed, parameters = reply.json(), reply.pairs(), reply.question.parameters
    k = int(parameters["k"])
    if "exact" in parameters and not body["exact"]:
        return "it had to be exact"
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


def _list_fault(reply: Reply, span: Span, least: Counts, most: Counts) -> str:
    """Return what is wrong with a list of many pages.

    Args:
        reply: the answer.
        span: as of which positions it is.
        least: the words that it must have, with their least counts.
        most: the words that it may have, with their largest counts.
    """
    if span.least and span.most and any(span.most[number] < at for number, at in span.least.items()):
        return "its last words are as of less than its first"
    listed = reply.pairs()
    if reply.question.accept == NDJSON and (fault := _differs(reply.json()["words"], len(listed))):
        return f"number of words: {fault}"
    if any(word.encode() >= following.encode() for (word, _), (following, _) in pairwise(listed)):
        return "the words are not in order"
    found = dict(listed)
    if left_out := sorted(least.keys() - found.keys()):
        return f"{len(left_out)} words are left out, like {left_out[:5]}"
    if invented := sorted(found.keys() - most.keys()):
        return f"{len(invented)} words do not occur, like {invented[:5]}"
    faults = (_outside(word, count, least.get(word, 1), most[word]) for word, count in found.items())
    return next(filter(None, faults), "")


def _outside(word: str, count: int, least: int, most: int) -> str:
    """Return what is wrong with a count that has to be between two others, both inclusive."""
    if least <= count <= most:
        return ""
    return f"{word} is {count}, the recount has {least if least == most else f'{least} to {most}'}"


def _differs(found: Any, right: Any) -> str:
    return "" if found == right else f"{str(found)[:500]} was answered, the recount has {str(right)[:500]}"
