"""Clients that ask random questions at randomly chosen workers, and keep every reply for the judge."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import httpx

from tests.chaos.questions import Questions
from tests.chaos.replies import KEPT_HEADERS, Question, Reply
from tests.integration.worker import Worker

TIMEOUT_S = 5.0
"""Longest time for a reply, and for each part of a long one."""

LONG_TIMEOUT_S = 30.0
"""Longest time for a list of many pages, each of which may take the time of a question."""

PAUSE_S = 0.06
"""Mean pause of a client between two questions."""

PAGES = 4
"""Most pages that a client reads of one list."""


class Asker:
    """A client.

    Args:
        workers: returns the workers that may be asked now.
        questions: what is asked.
        chance: chooses the worker.
        replies: gets every reply.
        persistent: whether a question that a worker does not answer is asked of the others.
    """

    def __init__(
        self,
        workers: Callable[[], Sequence[Worker]],
        questions: Questions,
        chance: random.Random,
        replies: list[Reply],
        *,
        persistent: bool,
    ) -> None:
        self.reads = 0
        self.failed_reads: list[list[Reply]] = []
        self._workers = workers
        self._questions = questions
        self._chance = chance
        self._replies = replies
        self._persistent = persistent

    async def run(self) -> None:
        """Ask until the task is cancelled."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            while True:
                await asyncio.sleep(self._chance.uniform(0, 2 * PAUSE_S))
                await self._read(client, self._questions.next())

    async def _read(self, client: httpx.AsyncClient, question: Question) -> None:
        for _ in range(PAGES):
            reply = await self._answered(client, question)
            if question.kind != "page" or not reply.is_answer:
                return
            page = reply.json()
            if page["next_cursor"] is None:
                return
            parameters = {**question.parameters, "cursor": page["next_cursor"]}
            question = Question("page", question.path, parameters, (), page["words"][-1]["word"])

    async def _answered(self, client: httpx.AsyncClient, question: Question) -> Reply:
        """Ask a worker, or one worker after the other until one answers; return the last reply."""
        workers = list(self._workers())
        self._chance.shuffle(workers)
        tried: list[Reply] = []
        for worker in workers if self._persistent else workers[:1]:
            tried.append(await _ask(client, worker, question))
            self._replies.append(tried[-1])
            if tried[-1].is_answer or tried[-1].is_not_yet_counted:
                break
        else:
            self.failed_reads.append(tried)
        self.reads += 1
        return tried[-1]


async def _ask(client: httpx.AsyncClient, worker: Worker, question: Question) -> Reply:
    url = f"http://127.0.0.1:{worker.port}{question.path}"
    sent_s = time.monotonic()
    status, body = 0, b""
    kept: dict[str, str] = {}
    headers = {"Accept": question.accept} if question.accept else {}
    try:
        async with asyncio.timeout(LONG_TIMEOUT_S if question.is_long else TIMEOUT_S):
            if question.kind == "batch":
                response = await client.post(url, json={"words": list(question.words)})
            else:
                response = await client.get(url, params=dict(question.parameters), headers=headers)
        status, body = response.status_code, response.content
        kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    except (TimeoutError, httpx.TimeoutException):
        status = -1
    except httpx.TransportError as error:
        body = repr(error).encode()
    return Reply(question, worker.name, sent_s, time.monotonic(), status, body, kept)
