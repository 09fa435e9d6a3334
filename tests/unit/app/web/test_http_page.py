"""Each command of `docs/http.md` is run, and answers what the page says."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest

from app.web.stream_client import RETRY_MS

PAGE = (Path(__file__).parents[4] / "docs" / "http.md").read_text("utf-8")
COMMANDS = re.findall(r"^```sh\n([^\n]+)\n```\n(?:\n```(\w+)\n(.*?)^```)?", PAGE, re.DOTALL | re.MULTILINE)
WITH_VALUE = {"-H", "-d", "--max-time"}


def request_of(command: str) -> tuple[str, str, dict[str, str], str | None]:
    """Method, path with query, headers and body that curl would send."""
    curl, *words = shlex.split(command)
    assert curl == "curl"
    method, headers, body = "GET", {}, None
    (address,) = [
        word
        for number, word in enumerate(words)
        if not word.startswith("-") and words[number - 1] not in WITH_VALUE
    ]
    for flag, value in zip(words, [*words[1:], ""], strict=True):
        if flag == "-H":
            name, _, content = value.partition(": ")
            headers[name] = content
        elif flag == "-d":
            method, body = "POST", value
        elif flag == "-I":
            method = "HEAD"
        else:
            assert not flag.startswith("-") or flag in {"--compressed", "-N", "--max-time"}, flag
    assert address.startswith("127.0.0.1:8080/")
    return method, address.removeprefix("127.0.0.1:8080"), headers, body


async def end_streams(audiences, metrics):
    """End a stream when its snapshot was sent, as `--max-time` ends it for curl."""
    while not metrics.registry.get_sample_value("wordcount_stream_events_total", {"event": "snapshot"}):
        await asyncio.sleep(0.01)
    audiences.close()


def test_every_block_of_commands_is_one_command():
    assert len(COMMANDS) == PAGE.count("```sh") == PAGE.count("\ncurl ")


@pytest.mark.parametrize(("command", "kind", "answer"), COMMANDS, ids=[command for command, _, _ in COMMANDS])
async def test_a_command_answers_what_the_page_says(client, audiences, metrics, command, kind, answer):
    method, path, headers, body = request_of(command)
    ending = asyncio.create_task(end_streams(audiences, metrics))
    reply = await client.request(method, path, headers=headers, content=body)
    ending.cancel()
    assert reply.status_code == (202 if "/v1/texts" in command else 200)
    if kind == "json":
        assert list(reply.json()) == list(json.loads(answer))
        assert reply.json() == json.loads(answer)
    elif kind == "text":
        assert reply.text == f"{answer}retry: {RETRY_MS}\n\n"
    elif kind:
        assert reply.text.replace("\r\n", "\n") == answer


async def test_the_page_tells_stock_shapes_and_tags_as_they_are(client):
    assert (await client.get("/count/Fox/")).json() == {"Fox": 2}
    assert "etag" in (await client.head("/v1/words/fox")).headers
