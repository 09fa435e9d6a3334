"""Clients that ask random questions of every kind at randomly chosen workers, and keep every reply for the judge."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import httpx

from tests.chaos.judge import Question, Reply
from tests.integration.worker import Worker

TIMEOUT_S = 5.0
PAUSE_S = 0.06
"""Mean pause of a client between two questions."""

PAGES = 4
"""Most pages that a client reads of one list."""


class Questions:
    """Random questions about the words of `tests.chaos.load`.

    Args:
        chance: chooses.
        vocabulary: number of words that are counted from the start.
        batches: whether workers take many words at once.
    """

    def __init__(self, chance: random.Random, vocabulary: int, *, batches: bool) -> None:
        self._chance = chance
        self._vocabulary = vocabulary
        self._kinds: list[Callable[[], Question]] = [
            self._word,
            self._absent,
            self._page,
            self._page,
            lambda: Question("top 10", "/v1/top", {"k": 10}),
            lambda: Question("top 100", "/v1/top", {"k": 100}),
            lambda: Question("stats", "/v1/stats", {}),
            *([self._batch] if batches else []),
        ]

    def next(self) -> Question:
        """Return a random question."""
        return self._chance.choice(self._kinds)()

    def _any_word(self) -> str:
        if self._chance.random() < 0.4:
            return f"w{self._chance.randrange(1, 40)}"
        return f"v{self._chance.randrange(self._vocabulary):06d}"

    def _rare_word(self) -> str:
        return self._chance.choice(["never", "n"]) + f"{self._chance.randrange(1_000_000):06d}"

    def _word(self) -> Question:
        return _about("word", self._any_word())

    def _absent(self) -> Question:
        return _about("absent word", self._rare_word())

    def _batch(self) -> Question:
        words = [self._chance.choice([self._any_word, self._rare_word])() for _ in range(20)]
        return Question("batch", "/v1/words:batch", {}, words)

    def _page(self) -> Question:
        prefix = self._chance.choice(
            ["", "v", "w", "w1", "n", "n0", f"v{self._chance.randrange(1000):03d}", "x"]
        )
        return Question("page", "/v1/words", {"prefix": prefix, "limit": self._chance.choice([10, 100])})


def _about(kind: str, word: str) -> Question:
    return Question(kind, f"/v1/words/{word}", {}, [word])


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
            if tried[-1].is_answer:
                break
        else:
            self.failed_reads.append(tried)
        self.reads += 1
        return tried[-1]


async def _ask(client: httpx.AsyncClient, worker: Worker, question: Question) -> Reply:
    url = f"http://127.0.0.1:{worker.port}{question.path}"
    sent_s = time.monotonic()
    status, body = 0, b""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if question.kind == "batch":
                response = await client.post(url, json={"words": list(question.words)})
            else:
                response = await client.get(url, params=dict(question.parameters))
        status, body = response.status_code, response.content
    except (TimeoutError, httpx.TimeoutException):
        status = -1
    except httpx.TransportError as error:
        body = repr(error).encode()
    return Reply(question, worker.name, sent_s, time.monotonic(), status, body)
