import json

import jsonschema
import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from app.bodies import ReadinessCheck, Version
from app.produce.receipt import IngestOffError, NotDeliveredError, TextTooLongError
from app.web.asgi import create_asgi_app
from app.web.openapi import document
from tables.errors import NotReadyError, OverloadedError
from tests.unit.app.web.paths import PARAMETERS

VERSION = Version("1.2.3", "3.11.7", "0.15.3")
WINDOWED = {"store": "windowed-word-count", "from": 1767225900000, "to": 1767226100000}


ASKED = {
    "/v1/words:batch": {"words": ["fox", "wolf"]},
    "/v1/tokens": {"text": "The fox"},
    "/v1/texts": {"texts": ["a fox", "a wolf"]},
}
"""Bodies of the resources that take one."""


def concrete(path):
    """The path with a value for each parameter."""
    return path.format(**PARAMETERS | (WINDOWED if "/windowed/" in path else {}))


def test_the_document_has_every_route_and_no_other(queries, health):
    asgi_app = create_asgi_app(queries, health, CollectorRegistry(), VERSION)
    routes = {route.path.replace(":path", "") for route in asgi_app.routes if isinstance(route, Route)}
    assert len(routes) == len(asgi_app.routes)
    assert set(document(VERSION)["paths"]) == routes


FILES = {"/", "/page/{file}"}


def schema_of(path, status, media_type):
    api = document(VERSION)
    (operation,) = api["paths"][path].values()
    response = operation["responses"].get(str(status))
    assert response is not None, f"{path} may not answer {status}"
    if "$ref" in response:
        response = api["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return {**response["content"][media_type]["schema"], "components": api["components"]}


@pytest.mark.parametrize(
    "path", [path for path in document(VERSION)["paths"] if path not in {*FILES, "/metrics", "/v1/stream"}]
)
async def test_answers_have_the_documented_shape(client, path):
    ((method, operation),) = document(VERSION)["paths"][path].items()
    reply = await client.request(method, concrete(path), json=ASKED.get(path))
    (status,) = {"200", "202"} & operation["responses"].keys()
    assert reply.status_code == int(status)
    jsonschema.Draft202012Validator(schema_of(path, status, "application/json")).validate(reply.json())


def test_the_document_has_a_body_for_each_resource_that_takes_one():
    paths = document(VERSION)["paths"]
    assert {path for path in paths if "post" in paths[path]} == ASKED.keys()
    for path, body in ASKED.items():
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        schema = {**content, "components": document(VERSION)["components"]}
        jsonschema.Draft202012Validator(schema).validate(body)


@pytest.mark.parametrize(
    ("asked", "path", "status"),
    [
        ("/v1/words/wolf", "/v1/words/{word}", 404),
        ("/count/wolf/", "/count/{word}/", 404),
        ("/v1/words?x=1", "/v1/words", 400),
        ("/v1/words?limit=0", "/v1/words", 422),
        ("/v1/top?k=0", "/v1/top", 422),
        ("/v1/stats?x=1", "/v1/stats", 400),
        ("/v1/stats?wait_ms=-1", "/v1/stats", 422),
        ("/v1/words/fox?max_lag_records=x", "/v1/words/{word}", 422),
        ("/v1/top?after=2:123", "/v1/top", 504),
        ("/state/keyvalue/word-count/wolf", "/state/keyvalue/{store}/{key}", 404),
        ("/state/keyvalue/counts/fox", "/state/keyvalue/{store}/{key}", 404),
        ("/state/instances/counts", "/state/instances/{store}", 404),
        ("/state/instances?x=1", "/state/instances", 400),
        ("/v1/windows?x=1", "/v1/windows", 400),
        ("/v1/windows/1x/top", "/v1/windows/{size}/top", 422),
        ("/v1/windows/30s/top", "/v1/windows/{size}/top", 404),
        ("/v1/windows/1m/top?at=1970-01-01T00:00:00Z", "/v1/windows/{size}/top", 410),
        ("/v1/words/fox/windows?size=30s", "/v1/words/{word}/windows", 404),
        ("/v1/trending?min_count=0", "/v1/trending", 422),
        ("/v1/stream", "/v1/stream", 400),
        ("/v1/stream?top=0", "/v1/stream", 422),
        ("/v1/stream?window=30s", "/v1/stream", 404),
        ("/state/windowed/word-count/fox/0/1", "/state/windowed/{store}/{key}/{from}/{to}", 404),
        ("/state/windowed/windowed-word-count/fox/0/x", "/state/windowed/{store}/{key}/{from}/{to}", 400),
    ],
)
async def test_problems_have_the_documented_shape(client, asked, path, status):
    reply = await client.get(asked)
    assert reply.status_code == status
    jsonschema.Draft202012Validator(schema_of(path, status, "application/problem+json")).validate(
        reply.json()
    )


@pytest.mark.parametrize("path", [path for path in document(VERSION)["paths"] if path not in ASKED])
async def test_headers_with_freshness_are_those_that_the_document_names(client, path):
    named = document(VERSION)["paths"][path]["get"]["responses"]["200"].get("headers", {})
    reply = await client.get(concrete(path))
    assert {name for name in reply.headers if name.startswith("wordcount-")} == {
        name.lower() for name in named if name != "ETag"
    }


@pytest.mark.parametrize("path", document(VERSION)["paths"])
async def test_answers_that_may_be_kept_are_those_that_have_a_tag(client, path):
    ((method, operation),) = document(VERSION)["paths"][path].items()
    reply = await client.request(method, concrete(path), json=ASKED.get(path))
    assert ("304" in operation["responses"]) is ("etag" in reply.headers)


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{}", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b" " * 1_048_577, "application/json", 413),
        (json.dumps({"words": ["a"] * 10_001}).encode(), "application/json", 422),
    ],
)
async def test_problems_of_a_body_have_the_documented_shape(client, content, media_type, status):
    reply = await client.post("/v1/words:batch", content=content, headers={"Content-Type": media_type})
    assert reply.status_code == status
    schema = schema_of("/v1/words:batch", status, "application/problem+json")
    jsonschema.Draft202012Validator(schema).validate(reply.json())


@pytest.mark.parametrize(
    ("content", "media_type", "error", "status"),
    [
        (b"{}", "application/json", None, 400),
        (b"{}", "text/html", None, 415),
        (b" " * 1_048_577, "text/plain", None, 413),
        (b"a", "text/plain", TextTooLongError("too long"), 413),
        (b"a", "text/plain", IngestOffError("off"), 403),
        (b"a", "text/plain", OverloadedError("too many"), 503),
        (b"a", "text/plain", NotDeliveredError("away", "again", accepted=1, in_doubt=2), 503),
    ],
)
async def test_problems_of_texts_have_the_documented_shape(
    client, ingest, content, media_type, error, status
):
    ingest.error = error
    reply = await client.post("/v1/texts", content=content, headers={"Content-Type": media_type})
    assert reply.status_code == status
    schema = schema_of("/v1/texts", status, "application/problem+json")
    jsonschema.Draft202012Validator(schema).validate(reply.json())


async def test_a_cursor_that_the_document_lets_through_is_no_empty_one(client):
    (cursor,) = [
        p for p in document(VERSION)["paths"]["/v1/words"]["get"]["parameters"] if p.get("name") == "cursor"
    ]
    assert (await client.get("/v1/words?cursor=")).status_code == 400
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate("", cursor["schema"])
    given = (await client.get("/v1/words?limit=1")).json()["next_cursor"]
    jsonschema.validate(given, cursor["schema"])


async def test_not_ready_has_the_documented_shape(client, queries, health):
    queries.error = NotReadyError("not yet")
    health.found["restored"] = ReadinessCheck(False, "restoring: 2")
    for path, media_type in (("/v1/stats", "application/problem+json"), ("/readyz", "application/json")):
        reply = await client.get(path)
        assert reply.status_code == 503
        jsonschema.Draft202012Validator(schema_of(path, 503, media_type)).validate(reply.json())


async def test_an_incomplete_answer_has_the_documented_shape(client, queries):
    queries.complete, queries.missing = False, [3]
    counting = [
        path
        for path, item in document(VERSION)["paths"].items()
        if "504" in item.get("get", {"responses": ()})["responses"]
    ]
    assert len(counting) == 13
    for path in counting:
        reply = await client.get(concrete(path))
        assert reply.status_code == 503
        schema = schema_of(path, 503, "application/problem+json")
        jsonschema.Draft202012Validator(schema).validate(reply.json())
        del schema["anyOf"][1]
        jsonschema.Draft202012Validator(schema).validate(reply.json())


@pytest.mark.parametrize(
    ("value", "is_good"),
    [("0:123,3:456", True), ("0:1", True), ("0:1,", False), ("", False), ("0:-1", False)],
)
async def test_the_document_lets_the_same_positions_through_as_the_service(client, value, is_good):
    schema = document(VERSION)["components"]["parameters"]["after"]["schema"]
    assert jsonschema.Draft202012Validator(schema).is_valid(value) is is_good
    assert ((await client.get("/v1/top", params={"after": value})).status_code == 422) is not is_good


async def test_a_schema_refuses_an_answer_without_freshness():
    schema = schema_of("/v1/top", 200, "application/json")
    with pytest.raises(jsonschema.ValidationError, match="as_of"):
        jsonschema.Draft202012Validator(schema).validate({"words": [], "next_cursor": None})


@pytest.mark.parametrize("name", document(VERSION)["components"]["schemas"])
def test_every_member_of_an_answer_is_described(name):
    schema = document(VERSION)["components"]["schemas"][name]
    assert schema["description"]
    assert [member for member in schema["properties"].values() if not member.get("description")] == []


def test_a_schema_refuses_members_that_no_answer_has():
    schema = schema_of("/livez", 200, "application/json")
    with pytest.raises(jsonschema.ValidationError, match="unexpected"):
        jsonschema.Draft202012Validator(schema).validate({"status": "ok", "more": 1})
