"""`/v1/words/{word}/windows`: the counts of a word in adjacent windows, for charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from app.reads.window_answers import MOST_POINTS, AllQueries, WindowSize, time_text
from app.web.disconnection import while_connected
from app.web.formats import accepted, list_response
from app.web.parameters import path_word, query_parameters, whole_number
from app.web.problems import OutOfRangeError
from app.web.resource import Resource
from app.web.responses import freshness
from app.web.terms import NAMES, terms_of
from app.web.window_parameters import size_asked, stretch_of
from app.window_bodies import WindowCount, WordWindows

DEFAULT_LAST: Final = 60
_SUFFIX: Final = "/windows"


class WordWindowsResource(Resource):
    """The route whose path ends in `/windows` as it was sent: the word `a/windows` is encoded, and is no question for windows."""

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """See `Route.matches`."""
        if not scope.get("raw_path", b"").endswith(_SUFFIX.encode()):
            return Match.NONE, {}
        return super().matches(scope)


def routes(
    queries: AllQueries, normalise: Callable[[str], str], shortest: WindowSize | None = None
) -> list[Resource]:
    """Return the route, which has to come before that of a word.

    Args:
        queries: answers questions.
        normalise: normalises a word as the tokeniser's profile does.
        shortest: size of the windows that are meant if a question names none.
    """

    async def get_windows(request: Request) -> Response:
        parameters = query_parameters(request, "size", "from", "to", "last", *NAMES)
        word = normalise(path_word(request, "/v1/words/", _SUFFIX))
        size = size_asked(parameters, shortest)
        start_s, points = _asked(parameters, size)
        media_type, terms = accepted(request), terms_of(parameters)
        answer = await while_connected(
            request, queries.windows.series(word, size, points=points, start_s=start_s, terms=terms)
        )
        series = answer.value
        body = WordWindows(
            word,
            size.name,
            [
                WindowCount(time_text(start_s), count)
                for start_s, count in zip(series.starts, series.counts, strict=True)
            ],
            None if series.final_until_s is None else time_text(series.final_until_s),
            None if series.whole_from_s is None else time_text(series.whole_from_s),
            **freshness(answer),
        )
        return list_response(media_type, body)

    return [WordWindowsResource("/v1/words/{word:path}/windows", get_windows)]


def _asked(parameters: dict[str, str], size: WindowSize) -> tuple[int | None, int]:
    """Return the beginning of the first window, None = the newest ones are asked for, and the number of windows."""
    stretch = stretch_of(parameters, size)
    if stretch is None:
        return None, whole_number(parameters, "last", DEFAULT_LAST, MOST_POINTS)
    if "last" in parameters:
        raise OutOfRangeError('"last" is given with "from" and "to"', "give a number, or a stretch of time")
    points = (stretch[1] - stretch[0]) // size.advance_s
    if points > MOST_POINTS:
        raise OutOfRangeError(
            f'"from" to "to" is {points:,} windows', f"give {MOST_POINTS:,} at most, or larger windows"
        )
    return stretch[0], points
