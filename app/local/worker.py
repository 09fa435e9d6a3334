"""A worker or a view as a child process: started, asked over HTTP and stopped, and never left behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import httpx

from app.local.child import Child, quoting_log
from tables.errors import WordcountError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 4.0
_ASK_EVERY_S = 0.05


class LocalWorker:
    """Runs `wordcount worker` with the given settings. Used as a context manager, the worker is stopped on exit.

    Args:
        settings: values by variable name, which override the environment of this process.
        log_path: file for the worker's log.
        command: the command of `wordcount` that is run.
    """

    def __init__(
        self, settings: Mapping[str, str], log_path: Path, command: Literal["worker", "view"] = "worker"
    ) -> None:
        self.log_path = log_path
        self.url = f"http://127.0.0.1:{settings['WORDCOUNT_HTTP_PORT']}"
        self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=10.0)
        log_path.parent.mkdir(parents=True, exist_ok=True)
        self._process = Child(
            [sys.executable, "-m", "app", command], env={**os.environ, **settings}, log_path=log_path
        )

    def __enter__(self) -> LocalWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Return when `/readyz` answers 200.

        Raises:
            WordcountError: the worker ended, or is not ready after `START_TIMEOUT_S`; the error has the last log lines.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.status("/readyz") != httpx.codes.OK:
            self.check_alive()
            if time.monotonic() > deadline:
                raise self._failed(f"the worker is not ready after {START_TIMEOUT_S:g} s")
            time.sleep(_ASK_EVERY_S)

    def check_alive(self) -> None:
        """Raise WordcountError with the last log lines if the worker has ended."""
        if (code := self._process.exit_code) is not None:
            raise self._failed(f"the worker ended with exit code {code}")

    def status(self, path: str) -> int | None:
        """Return the status code of a GET; None if the worker cannot be reached."""
        try:
            return self._client.get(path).status_code
        except httpx.TransportError:
            return None

    def ask(self, path: str, **parameters: str | int) -> dict[str, Any]:
        """Return the JSON object at `path`. Raise WordcountError if the worker gives no such answer."""
        try:
            answer = self._client.get(path, params=parameters)
            answer.raise_for_status()
            body: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            self.check_alive()
            raise self._failed(f"the worker does not answer {path} ({error})") from error
        return body

    def counts(self) -> dict[str, int]:
        """Return every word with its count, read page by page."""
        found: dict[str, int] = {}
        page: dict[str, str | int] = {"limit": 1000}
        while True:
            answer = self.ask("/v1/words", **page)
            found.update((entry["word"], entry["count"]) for entry in answer["words"])
            if answer["next_cursor"] is None:
                return found
            page["cursor"] = answer["next_cursor"]

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if the worker runs longer than `STOP_TIMEOUT_S`. Do nothing if the worker has ended."""
        self._client.close()
        self._process.terminate(STOP_TIMEOUT_S)

    def _failed(self, message: str) -> WordcountError:
        return quoting_log(WordcountError(message, f"see {self.log_path}"), self.log_path)
