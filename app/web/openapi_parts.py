"""Parts of the OpenAPI document that many resources have: parameters, bodies, and the answers of an operation."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.bodies import Freshness, Word
from app.problem_bodies import Incomplete, NotYetCounted, Problem, UnknownWord
from app.web.formats import CSV, NDJSON, header_name
from app.web.problems import MEDIA_TYPE

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
SCHEMAS = "#/components/schemas/"
RESPONSES = "#/components/responses/"
PARAMETERS = "#/components/parameters/"
COUNTING = (400, 422, 503, 504)
"""Statuses besides 200 that every resource with counts may answer."""


def asked(
    summary: str,
    answer: Schema,
    parameters: Sequence[Schema] = (),
    problems: Sequence[int] = (),
    others: Mapping[str, Schema] | None = None,
    *,
    kept: bool = True,
    status: int = 200,
) -> Schema:
    """Return an operation.

    Args:
        summary: what is answered.
        answer: the answer to a request that succeeds.
        parameters: parameters of path, query and headers.
        problems: statuses of problems in the usual shapes.
        others: further answers by status.
        kept: whether a client may keep the answer, and ask whether it still holds.
        status: the status of `answer`.
    """
    refused = {"$ref": RESPONSES + Problem.__name__}
    by_status = {
        404: {"$ref": RESPONSES + UnknownWord.__name__},
        503: any_of(Incomplete, Problem),
        504: {"$ref": RESPONSES + NotYetCounted.__name__},
    }
    tag = {"ETag": {"schema": TEXT, "description": "Tag of this answer, for `If-None-Match`."}}
    headers = {**answer.get("headers", {}), **(tag if kept else {})}
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            str(status): {**answer, **({"headers": headers} if headers else {})},
            **(
                {"304": {"description": "The answer is still the one with the tag in `If-None-Match`."}}
                if kept
                else {}
            ),
            **{str(status): by_status.get(status, refused) for status in sorted(problems)},
            **(others or {}),
            "default": refused,
        },
    }


def parameter(place: str, name: str, schema: Schema, description: str) -> Schema:
    """Return a parameter of a path or a query."""
    return {
        "in": place,
        "name": name,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


def number(default: int, most: int) -> Schema:
    """Return the schema of a whole number from 1 to `most`."""
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def body_of(kind: type[msgspec.Struct], media_type: str = "application/json") -> Schema:
    """Return the response with a body of a kind."""
    return media(media_type, {"$ref": SCHEMAS + kind.__name__}, inspect.getdoc(kind) or "")


def array_of(kind: type[msgspec.Struct], description: str) -> Schema:
    """Return the response with an array of bodies of a kind."""
    items = {"$ref": SCHEMAS + kind.__name__}
    return media("application/json", {"type": "array", "items": items}, description)


def list_of(kind: type[msgspec.Struct]) -> Schema:
    """Return the response with a list of words, in each of its media types."""
    response = body_of(kind)
    response["content"] |= {NDJSON: {"schema": TEXT}, CSV: {"schema": TEXT}}
    return response


def fresh_by_headers(answer: Schema) -> Schema:
    """Return an answer whose body has no place for freshness, with the headers that say it."""
    headers = {
        header_name(name): {
            "schema": TEXT,
            # The others are left out where they would be too long, see `app.web.formats.header_fields`.
            "required": name == "complete",
            "description": f"`{name}` as in `{Word.__name__}`, written as for CSV: an object as `2:123,10:7`.",
        }
        for name in Freshness.__struct_fields__
    }
    return {**answer, "headers": headers}


def any_of(*kinds: type[msgspec.Struct]) -> Schema:
    """Return the response whose body is one of `kinds`."""
    schema = {"anyOf": [{"$ref": SCHEMAS + kind.__name__} for kind in kinds]}
    return media(MEDIA_TYPE, schema, " ".join(inspect.getdoc(kind) or "" for kind in kinds))


def media(media_type: str, schema: Schema, description: str) -> Schema:
    """Return a response in one media type."""
    return {"description": description, "content": {media_type: {"schema": schema}}}
