"""A worker's answers as text for people: a table of words, and lines that say how fresh and how complete the answer is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from app.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.bodies import CountedWord, Freshness, Top
    from app.window_bodies import WindowTop, WordWindows


_MOST_NAMED: Final = 3
"""Most partitions that a line names."""


def word_table(words: Iterable[CountedWord], caption: str | None = None) -> Table:
    """Return a table of words with rank (from 1) and count. Characters that control a terminal are escaped."""
    table = Table("#", "word", "count", caption=caption)
    table.columns[0].justify = table.columns[2].justify = "right"
    for rank, row in enumerate(words, 1):
        table.add_row(str(rank), Text(printable(row.word)), f"{row.count:,}")
    return table


def window_line(answer: WindowTop) -> str:
    """Return which window an answer is about, and whether it is final and whole."""
    state = "final" if answer.final else f"NOT FINAL, it may take records still in {_held_back_by(answer)}"
    whole = "" if answer.whole else "; NOT WHOLE, its first records were not counted in windows"
    return f"window {answer.size}: {answer.start} to {answer.end}, {state}{whole}"


def _held_back_by(answer: WindowTop) -> str:
    partitions = sorted(answer.held_back_by.items())
    named = [f"partition {number} ({time or 'no time yet'})" for number, time in partitions[:_MOST_NAMED]]
    if more := len(partitions) - len(named):
        named.append(f"{more:,} more")
    return ", ".join(named)


def window_lines(answer: WordWindows) -> list[str]:
    """Return a line for each window of a word, its beginning and the count, and lines about which are final and whole."""
    lines = [f"{one.start}  {one.count:>12,}" for one in answer.windows]
    final = "none yet" if answer.final_until is None else f"those that end by {answer.final_until}"
    lines.append(f"final windows of {answer.size}: {final}")
    if answer.whole_from is not None and any(one.start < answer.whole_from for one in answer.windows):
        lines.append(f"NOT WHOLE: windows that begin before {answer.whole_from}")
    return lines


def proof_lines(answer: Top | WindowTop) -> list[str]:
    """Return a line that says how wrong the choice of words may be; no line if it is proven."""
    if answer.exact:
        return []
    further = f"{answer.max_error:,} times more often than the last listed word"
    return [f"NOT PROVEN: a word that is not listed may occur {further}"]


def freshness_lines(answer: Freshness) -> list[str]:
    """Return two lines, how complete and how fresh `answer` is, and a third if followers answered for partitions."""
    as_of, missing = answer.as_of, answer.missing_partitions
    total = len(as_of) + len(missing)
    if answer.complete:
        complete = f"complete: {len(as_of)} of {total} partitions"
    else:
        which = f"partition {', '.join(map(str, missing))}" if missing else "which, is not known"
        complete = f"INCOMPLETE: {len(as_of)} of {total if missing else '?'} partitions; missing: {which}"
    offsets = ", ".join(f"{partition}: {offset}" for partition, offset in as_of.items())
    lines = [complete, f"as of (partition: next offset): {offsets or 'nothing'}"]
    followers = [
        f"{partition}: {answer.served_by.get(partition, 'follower')}, {behind.records:,} records and {behind.seconds:.1f} s behind"
        for partition, behind in answer.behind.items()
    ]
    return (
        [*lines, f"answered by followers (partition: which): {'; '.join(followers)}"] if followers else lines
    )
