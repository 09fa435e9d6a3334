"""`/v1/windows` and `/v1/windows/{size}/top`: which windows there are, and their most frequent words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from app.reads.answers import PartWindows, Terms
from app.reads.window_answers import MOST_PANES, AllQueries, WindowSize, time_text
from app.reads.window_choice import Choice, pane_sizes, with_records
from app.web.disconnection import while_connected
from app.web.formats import accepted, list_response
from app.web.parameters import query_parameters, truth, whole_number
from app.web.problems import OutOfRangeError
from app.web.resource import Resource
from app.web.resources.top import DEFAULT_K, MAX_K
from app.web.responses import REVALIDATED, counted_words, freshness, json_response
from app.web.terms import NAMES, terms_of
from app.web.window_parameters import size_of, stretch_of, time_of
from app.window_bodies import PartitionTime, PendingJump, Windows, WindowTop
from app.window_bodies import WindowSize as SizeBody


def routes(queries: AllQueries, configured: Sequence[WindowSize] = ()) -> list[Resource]:
    """Return the routes of windows.

    Args:
        queries: answers questions.
        configured: windows that are listed besides those that the markers have, if their panes are counted.
    """

    async def list_windows(request: Request) -> Response:
        terms = terms_of(query_parameters(request, *NAMES))
        answer = await while_connected(request, queries.windows.overview(terms))
        body = Windows(
            _sizes(answer.value, answer.as_of, configured),
            {number: partition_time(one) for number, one in sorted(answer.value.items())},
            **freshness(answer),
        )
        return json_response(body, headers=REVALIDATED)

    async def get_top(request: Request) -> Response:
        parameters = query_parameters(request, "k", "at", "from", "to", "exact", *NAMES)
        size = size_of(request.path_params["size"])
        k = whole_number(parameters, "k", DEFAULT_K, MAX_K)
        exact = truth(parameters, "exact", default=False)
        start_s, end_s = _asked(parameters, size)
        media_type, terms = accepted(request), terms_of(parameters)
        asking = window_top(queries, size, k, start_s=start_s, end_s=end_s, exact=exact, terms=terms)
        return list_response(media_type, await while_connected(request, asking))

    return [
        Resource("/v1/windows", list_windows),
        Resource("/v1/windows/{size:path}/top", get_top),
    ]


async def window_top(
    queries: AllQueries,
    size: WindowSize,
    k: int,
    *,
    start_s: int | None = None,
    end_s: int | None = None,
    exact: bool = False,
    terms: Terms,
) -> WindowTop:
    """Return the most frequent words of a window as the body of an answer, by default of the newest final window.

    Arguments and errors are those of `WindowQueries.top`.
    """
    answer = await queries.windows.top(size, k, start_s=start_s, end_s=end_s, exact=exact, terms=terms)
    top, span = answer.value.top, answer.value.span
    return WindowTop(
        counted_words(top.words),
        top.exact,
        top.max_error or 0,
        size.name,
        time_text(span.start_s),
        time_text(span.end_s),
        span.is_final,
        span.is_whole,
        list(span.final),
        stream_times(span.held_back_by),
        None,
        **freshness(answer),
    )


def partition_time(one: PartWindows) -> PartitionTime:
    """Return what a partition knows of windows as the body of an answer."""
    state = one.windows
    jump = None if state is None else state.jump
    return PartitionTime(
        stream_time(one),
        None
        if jump is None
        else PendingJump(time_text(jump.low_ms // 1000), time_text(jump.high_ms // 1000), jump.records),
        {size_name(size): count for size, count in one.late.items()},
        dict(one.untimed),
    )


def stream_time(one: PartWindows) -> str | None:
    """Return the stream time of a partition; None = no record had a time."""
    stream_ms = None if one.windows is None else one.windows.stream_ms
    return None if stream_ms is None else time_text(stream_ms // 1000)


def stream_times(times_ms: Mapping[int, int | None]) -> dict[int, str | None]:
    """Return stream times of partitions as the body of an answer."""
    return {
        number: None if time_ms is None else time_text(time_ms // 1000)
        for number, time_ms in times_ms.items()
    }


def size_name(size: str) -> str:
    """Return the name of a size that is written in seconds."""
    return WindowSize(int(size), int(size)).name


def _asked(parameters: dict[str, str], size: WindowSize) -> tuple[int | None, int | None]:
    """Return beginning and end of the stretch that is asked for; None = the newest window, and one window."""
    at, stretch = time_of(parameters, "at"), stretch_of(parameters, size)
    if stretch is None:
        return (None if at is None else int(at // size.advance_s) * size.advance_s), None
    if at is not None:
        raise OutOfRangeError('"at" is given with "from" and "to"', "give one window, or a stretch of time")
    panes = (stretch[1] - stretch[0]) // size.advance_s
    if panes > MOST_PANES:
        raise OutOfRangeError(
            f'"from" to "to" is {panes:,} windows', f"give {MOST_PANES:,} at most, or larger windows"
        )
    return stretch


def _sizes(
    parts: Mapping[int, PartWindows], as_of: Mapping[int, int], configured: Sequence[WindowSize]
) -> list[SizeBody]:
    windows = with_records(parts)
    panes = pane_sizes(windows)
    sizes = {WindowSize(size_s, size_s) for size_s in panes}
    sizes |= {size for size in configured if size.advance_s in panes}
    return [_size(Choice(size, windows, as_of)) for size in sorted(sizes)]


def _size(choice: Choice) -> SizeBody:
    size, rule = choice.size, choice.rule
    newest_s, closed_s = choice.newest_begun_s, choice.newest_closed_s
    oldest_open_s = choice.first_kept_s if closed_s is None else closed_s + size.advance_s
    return SizeBody(
        size.name,
        size.size_s,
        size.advance_s,
        rule.grace_s,
        rule.retention_s,
        _time(choice.whole_from_s),
        time_text(choice.first_kept_s),
        _time(newest_s),
        _time(closed_s),
        stream_times(choice.held_back_by),
        0 if newest_s is None else max(0, (newest_s - oldest_open_s) // size.advance_s + 1),
    )


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else time_text(seconds)
