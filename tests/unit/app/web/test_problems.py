import inspect

import pytest

from app.produce import receipt
from app.produce.receipt import NotDeliveredError
from app.reads.answers import IncompleteError, NotCountedYetError
from app.reads.window_answers import NoWindowError, UnknownWindowError, WindowExpiredError
from app.web import problems
from app.web.problems import PROBLEMS
from tables import errors

ASKING = [
    *("/v1/words/fox", "/v1/words", "/v1/top", "/v1/stats", "/count/fox/"),
    *(
        "/state/keyvalue/word-count/fox",
        "/state/keyvalues/word-count/all",
        "/state/keyvalues/word-count/range/a/z",
    ),
]


OF_QUESTIONS = {IncompleteError, NotCountedYetError, UnknownWindowError, WindowExpiredError}
"""Errors that are made of what was asked for."""

WITH_NUMBERS = {*OF_QUESTIONS, NotDeliveredError}
"""Errors that are made of more than a message and a remedy."""


def assert_problem(reply, status):
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["cache-control"] == "no-store"
    problem = reply.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:problem-type:wordcount:")
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_every_error_of_wordcount_is_mapped():
    known = {
        kind
        for module in (errors, problems, receipt)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == module.__name__
    }
    assert set(PROBLEMS) == known | {NoWindowError, *OF_QUESTIONS}


def test_problem_types_are_distinct():
    names = [problem.name for problem in PROBLEMS.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", ASKING)
async def test_not_ready_is_a_503_that_says_when_to_come_back(client, queries, path):
    queries.error = errors.NotReadyError("no partition is restored yet")
    reply = await client.get(path)
    assert "no partition is restored yet" in assert_problem(reply, 503)["detail"]
    assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", ASKING)
async def test_an_answer_that_would_leave_partitions_out_is_a_503_that_names_them_and_why(
    client, queries, path
):
    queries.error = IncompleteError({4: "its worker does not answer", 3: "it restores"})
    reply = await client.get(path)
    problem = assert_problem(reply, 503)
    assert problem["type"].endswith(":incomplete")
    assert problem["missing_partitions"] == [3, 4]
    assert problem["reasons"] == {"3": "it restores", "4": "its worker does not answer"}
    assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", ASKING)
async def test_records_that_are_not_counted_in_time_are_a_504_that_says_how_far_counting_is(
    client, queries, path
):
    reply = await client.get(path, params={"after": "2:122,10:7"})
    problem = assert_problem(reply, 504)
    assert problem["type"].endswith(":not-yet-counted")
    assert problem["as_of"] == {"2": 123, "10": 7}
    assert "offset 7 of partition 10" in problem["detail"]
    assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", ["/v1/words/wolf", "/count/wolf/", "/state/keyvalue/word-count/wolf"])
async def test_a_word_is_unknown_only_where_every_partition_answers(client, queries, path):
    queries.complete, queries.missing = False, [3]
    reply = await client.get(path, params={"allow_partial": "true"})
    problem = assert_problem(reply, 503)
    assert problem["type"].endswith(":incomplete")
    assert "does not occur in the partitions that answer" in problem["detail"]
    assert problem["missing_partitions"] == [3]
    queries.complete, queries.missing = True, []
    assert assert_problem(await client.get(path), 404)["type"].endswith(":unknown-word")


@pytest.mark.parametrize(
    "kind",
    [kind for kind in PROBLEMS if kind not in WITH_NUMBERS],
    ids=lambda kind: kind.__name__,
)
async def test_each_error_has_its_status_and_remedy(client, queries, kind):
    queries.error = kind("what is wrong", "what helps")
    reply = await client.get("/v1/top")
    problem = assert_problem(reply, PROBLEMS[kind].status)
    assert problem["detail"] == "what is wrong; what helps"
    assert ("retry-after" in reply.headers) == PROBLEMS[kind].retry


async def test_an_error_class_of_later_days_falls_back_to_its_parent(client, queries):
    class LaterError(errors.NotReadyError):
        pass

    queries.error = LaterError("later")
    assert_problem(await client.get("/v1/top"), 503)


@pytest.mark.parametrize("path", ASKING)
async def test_an_unexpected_error_keeps_its_text_to_itself(client, queries, path):
    queries.error = RuntimeError("internal detail")
    reply = await client.get(path)
    assert_problem(reply, 500)
    assert "internal detail" not in reply.text


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/nothing", "/v1/top/", "/count/fox", "/V1/top", "/livez%0A", "/v1/top%0A", "/%0A"],
)
async def test_an_unknown_path_is_a_404(client, path):
    assert assert_problem(await client.get(path), 404)["type"].endswith(":not-found")


async def test_a_path_or_host_that_would_act_on_a_terminal_is_told_escaped(client):
    detail = assert_problem(await client.get("/%1B%5B31m"), 404)["detail"]
    assert "\\x1b[31m" in detail


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path", [*ASKING, "/state/instances", "/", "/livez", "/readyz", "/metrics", "/version", "/openapi.json"]
)
async def test_another_method_is_a_405_that_says_which_are_allowed(client, method, path):
    reply = await client.request(method, path)
    assert_problem(reply, 405)
    assert sorted(reply.headers["allow"].split(", ")) == ["GET", "HEAD"]
