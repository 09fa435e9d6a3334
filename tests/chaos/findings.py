"""The findings of a trial of reads: what was wrong, fell back, hung or failed, and for how long nobody answered after each fault."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from tests.chaos.askers import Asker
from tests.chaos.chaos import commit
from tests.chaos.heard import Heard
from tests.chaos.history import History
from tests.chaos.judge import fault_of
from tests.chaos.replies import Reply
from tests.chaos.trial import FROZEN_S, PARTITIONS, Trial

LATE_S = 2.0
"""Replies that take longer, beyond the time that the question allows to wait, are reported: twice the time budget of a question."""


def judged(
    trial: Trial, history: History, askers: Sequence[Asker], mode: str, seed: int, seconds: float
) -> dict[str, Any]:
    """Return the content of the result file, and under `found` what must not be."""
    replies = trial.replies
    answers = [reply for reply in replies if reply.is_answer]
    heard = Heard(replies)
    wrong = [
        f"{fault}\n  {reply}"
        for reply in replies
        if (reply.is_answer or reply.is_not_yet_counted)
        and (fault := fault_of(reply, history, PARTITIONS, heard.before(reply.sent_s)))
    ]
    falling = [
        f"partition {number} went back\n  {earlier}\n  {later}" for earlier, later, number in heard.fallen()
    ]
    unexpected = [
        str(reply)
        for reply in replies
        if not (
            reply.is_answer
            or reply.is_not_yet_counted
            or reply.status in {0, -1, HTTPStatus.SERVICE_UNAVAILABLE}
        )
    ]
    late = [
        reply
        for reply in replies
        if reply.received_s - reply.sent_s > LATE_S + reply.question.wait_s and not _was_frozen(trial, reply)
    ]
    hung = [str(reply) for reply in late if reply.status == -1]
    failed_reads = [tried for asker in askers for tried in asker.failed_reads]
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for reply in replies:
        kinds[reply.question.kind][_outcome(reply)] += 1
    took = [reply.received_s - reply.sent_s for reply in answers]
    return {
        "mode": mode,
        "seed": seed,
        "seconds": round(seconds),
        "commit": commit(),
        "workers": len(trial.workers) - 1,
        "partitions": PARTITIONS,
        "distinct_words": len(history.words),
        "answers": len(answers),
        "wrong": len(wrong),
        "falling": len(falling),
        "unexpected": len(unexpected),
        "hung": len(hung),
        "late": sum(not reply.question.is_long for reply in late),
        "reads": sum(asker.reads for asker in askers),
        "failed_reads": len(failed_reads),
        "answer_ms": {
            "p50": round(statistics.median(took) * 1000, 1),
            "p99": round(statistics.quantiles(took, n=100)[98] * 1000, 1),
            "max": round(max(took) * 1000, 1),
        },
        "replies": {kind: dict(sorted(outcomes.items())) for kind, outcomes in sorted(kinds.items())},
        "faults": _unavailability(trial, answers),
        "found": {
            "wrong": wrong,
            "falling": falling,
            "unexpected": unexpected,
            "hung": hung,
            "late": [str(reply) for reply in late if not reply.question.is_long],
            "failed_reads": ["\n  ".join(map(str, tried)) for tried in failed_reads],
        },
    }


def _unavailability(trial: Trial, answers: Sequence[Reply]) -> dict[str, Any]:
    """Return, by kind of fault, how often it occurred, and the longest time in which nobody answered before the next fault began."""
    times = sorted(reply.received_s for reply in answers)
    gaps: dict[str, list[float]] = defaultdict(list)
    for event, following in itertools.zip_longest(trial.events, trial.events[1:]):
        next_s = times[-1] if following is None else following.begin_s
        within = [event.begin_s, *(at for at in times if event.begin_s < at < next_s), next_s]
        gaps[event.kind].append(max(after - before for before, after in itertools.pairwise(within)))
    return {
        kind: {
            "times": len(seconds),
            "unavailable_s": {"p50": round(statistics.median(seconds), 2), "max": round(max(seconds), 2)},
        }
        for kind, seconds in sorted(gaps.items())
    }


def _was_frozen(trial: Trial, reply: Reply) -> bool:
    return any(
        event.kind.startswith("SIGSTOP")
        and event.worker == reply.worker
        and event.begin_s < reply.received_s
        and reply.sent_s < event.begin_s + FROZEN_S + 0.5
        for event in trial.events
    )


def _outcome(reply: Reply) -> str:
    if reply.status == 0:
        return "connection failed"
    if reply.status == -1:
        return "no reply"
    if reply.is_answer:
        return str(reply.status)
    try:
        return f"{reply.status} {reply.json()['type'].rpartition(':')[2]}"
    except msgspec.DecodeError:
        return f"{reply.status} without a problem"


def promises_broken(result: dict[str, Any]) -> list[str]:
    """Return the names of the findings that break a promise in this mode."""
    names = ["wrong", "falling", "unexpected", "hung"]
    return [
        name for name in (*names, "failed_reads" if result["mode"] == "restarts" else "hung") if result[name]
    ]
