"""Questions about windows in the simulation, and the check that their answers are true at their `as_of`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

from app.reads.answers import Answer
from app.reads.queries import WordQueries
from app.reads.window_answers import (
    NoWindowError,
    Span,
    UnknownWindowError,
    WindowExpiredError,
    WindowSize,
    WindowTop,
    WordSeries,
)
from tables.errors import NotReadyError
from tables.model.windows import pane_of
from tests.simulation.asking import PARTIAL
from tests.simulation.source import SourcePartition
from tests.simulation.true_rows import is_top
from tests.simulation.window_truth import WindowTruth
from tests.simulation.wrong_error import WrongError

SIZES = [WindowSize(2, 2), WindowSize(6, 6), WindowSize(6, 2)]
POINTS = 6
MOST_PANE_LEADERS = 2
"""Leaders of a pane; fewer than the words, so that counts have to be looked up."""

_ALL = 1000

Windowed = tuple[WindowSize, int, Answer[Any]]
"""Size, number of words that were asked for (0 = the series of a word), and the answer."""


async def asked_windows(
    queries: WordQueries, word: str, take: Callable[[Windowed], None], sizes: Sequence[WindowSize] = SIZES
) -> None:
    """Ask for the windows of each of `sizes`, and give each answer to `take`."""
    for size in sizes:
        with suppress(NoWindowError, UnknownWindowError, WindowExpiredError, NotReadyError):
            series = await queries.windows.series(word, size, points=POINTS, terms=PARTIAL)
            take((size, 0, series))
            for k, start_s in ((_ALL, series.value.starts[-1]), (1, series.value.starts[-1]), (1, None)):
                top = await queries.windows.top(size, k, start_s=start_s, exact=k == _ALL, terms=PARTIAL)
                take((size, k, top))
            start_s, end_s = series.value.starts[0], series.value.starts[-1] + size.size_s
            top = await queries.windows.top(size, 2, start_s=start_s, end_s=end_s, terms=PARTIAL)
            take((size, 2, top))


def look_at_answer(
    name: str,
    asked: Windowed,
    sources: Mapping[int, SourcePartition],
    word: str,
) -> None:
    """Raise WrongError if an answer is not true at its `as_of`, by the rules of some marker there."""
    as_of = asked[2].as_of
    found: list[WrongError] = []
    for truths in product(*(sources[number].windows.at(position) for number, position in as_of.items())):
        try:
            _look_at_answer(name, asked, dict(zip(as_of, truths, strict=True)), word)
        except WrongError as error:
            found.append(error)
        else:
            return
    if found:
        raise found[0]


def _look_at_answer(name: str, asked: Windowed, truths: Mapping[int, WindowTruth], word: str) -> None:
    size, k, answer = asked
    if not k:
        _look_at_series(name, size, answer, truths, word)
        return
    value: WindowTop = answer.value
    true = _words(size, value.span.start_s, value.span.end_s, answer.as_of, truths)
    listed = value.top
    right = is_top(listed, true, k, exactly=k == _ALL) if listed.words else not true or listed.max_error
    if not right:
        raise WrongError("the words of a window are true", f"{name} {asked}, true is {true}")
    _look_at_span(name, size, value.span, answer.as_of, truths)


def _look_at_series(
    name: str, size: WindowSize, answer: Answer[WordSeries], truths: Mapping[int, WindowTruth], word: str
) -> None:
    value = answer.value
    true = [
        _words(size, start_s, start_s + size.size_s, answer.as_of, truths)[word] for start_s in value.starts
    ]
    if list(value.counts) != true:
        raise WrongError("the windows of a word are true", f"{name} {size} {answer}, true is {true}")


def _look_at_span(
    name: str, size: WindowSize, span: Span, as_of: Mapping[int, int], truths: Mapping[int, WindowTruth]
) -> None:
    final: list[int] = []
    for number, position in sorted(as_of.items()):
        counted = truths[number].sizes(position).get(size.advance_s)
        stream_ms = truths[number].clock(position).stream_ms
        if counted is not None and stream_ms is not None:
            final += [number] if (span.end_s + counted.rule.grace_s) * 1000 <= stream_ms else []
    if list(span.final) != final or span.is_final != (len(final) == len(as_of)):
        raise WrongError("what is final is true", f"{name} {size} {span}, final is {final}")
    missed = {
        number: misses
        for number, position in as_of.items()
        if (misses := truths[number].misses(size.advance_s, range(span.start_s, span.end_s), position))
    }
    if span.is_whole and missed:
        raise WrongError("what is whole has all records", f"{name} {size} {span}, it lacks {missed}")


def _words(
    size: WindowSize, start_s: int, end_s: int, as_of: Mapping[int, int], truths: Mapping[int, WindowTruth]
) -> Counter[str]:
    """Return the true counts of a stretch of time."""
    true: Counter[str] = Counter()
    for number, position in as_of.items():
        for key, count in truths[number].counts(position).items():
            pane, word = pane_of(key)
            if pane.size_s == size.advance_s and start_s <= pane.start_s < end_s:
                true[word.decode()] += count
    return true
