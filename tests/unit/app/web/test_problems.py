import inspect

import pytest

from app.web.problems import PROBLEMS, OutOfRangeError
from tables import errors

ASKING = ["/v1/words/fox", "/v1/words", "/v1/top", "/v1/stats", "/count/fox/"]


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
    known = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    assert set(PROBLEMS) == known | {OutOfRangeError}


def test_problem_types_are_distinct():
    names = [problem.name for problem in PROBLEMS.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", ASKING)
async def test_not_ready_is_a_503_that_says_when_to_come_back(client, queries, path):
    queries.error = errors.NotReadyError("no partition is restored yet")
    reply = await client.get(path)
    assert "no partition is restored yet" in assert_problem(reply, 503)["detail"]
    assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize("kind", PROBLEMS, ids=lambda kind: kind.__name__)
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
@pytest.mark.parametrize("path", [*ASKING, "/", "/livez", "/readyz", "/metrics", "/version", "/openapi.json"])
async def test_another_method_is_a_405_that_says_which_are_allowed(client, method, path):
    reply = await client.request(method, path)
    assert_problem(reply, 405)
    assert sorted(reply.headers["allow"].split(", ")) == ["GET", "HEAD"]
