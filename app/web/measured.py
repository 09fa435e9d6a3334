"""Measuring of requests: which route was asked, with which status it was answered, and after how long the answer began."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final, Protocol

NO_ROUTE: Final = "none"
"""Stands for the route of a request that reached none: refused before, or nothing is there. So a client cannot invent routes."""

GONE: Final = "gone"
"""Stands for the status of a request whose client went away before the answer began."""

_UNEXPECTED: Final = "500"


class RequestObserver(Protocol):
    """Reports requests; returns at once and raises nothing."""

    def http_requested(self, route: str, status: str, duration_s: float) -> None:
        """Note that a request was answered.

        Args:
            route: path of the route, with names for what varies, for example `/v1/words/{word}`; `NO_ROUTE`.
            status: the status code; `GONE`.
            duration_s: seconds from the request to the beginning of the answer, or to the end if there was none.
        """


class Measured:
    """An ASGI application that passes requests on to another application and reports them.

    Args:
        asgi_app: the other application.
        observer: reports the requests.
    """

    def __init__(self, asgi_app: Any, observer: RequestObserver) -> None:
        self._asgi_app = asgi_app
        self._observer = observer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._asgi_app(scope, receive, send)
            return
        begun_s = perf_counter()
        is_told = is_gone = False

        def tell(status: str) -> None:
            nonlocal is_told
            if not is_told:
                is_told = True
                route = getattr(scope.get("route"), "path", NO_ROUTE).replace(":path", "")
                self._observer.http_requested(route, GONE if is_gone else status, perf_counter() - begun_s)

        async def receive_noting() -> Any:
            nonlocal is_gone
            message = await receive()
            # What is answered from now on, for example that the search was given up, nobody reads.
            is_gone = is_gone or message["type"] == "http.disconnect"
            return message

        async def send_noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                tell(str(message["status"]))
            await send(message)

        try:
            await self._asgi_app(scope, receive_noting, send_noting)
        except Exception:
            tell(_UNEXPECTED)  # Starlette answers so, outside of all other applications.
            raise
        finally:
            tell(GONE)
