"""The part of the OpenAPI document about texts that are sent."""

from __future__ import annotations

from app.problem_bodies import NotDelivered, Problem
from app.text_bodies import TextsSent, TextsTaken
from app.web.formats import NDJSON
from app.web.openapi_parts import TEXT, Schema, any_of, asked, body_of, parameter
from app.web.resources.texts import KEY_HEADER, KEY_PATTERN
from app.web.text_bodies import PLAIN
from app.web.unpacking import GZIP

_REFUSALS = (400, 403, 413, 415)


def text_paths() -> Schema:
    """Return the path by which texts are sent."""
    key = parameter(
        "header",
        KEY_HEADER,
        {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
        "Name of this request, which no other request has: the same when it is sent again, so that no text of it is counted twice. "
        "All its texts go to one partition.",
    )
    coding = parameter(
        "header",
        "Content-Encoding",
        {"type": "string", "enum": [GZIP, "identity"]},
        "How the body is packed.",
    )
    body = body_of(TextsSent)
    # A line of NDJSON is a JSON string, or an object as `TextLine`; a line of plain text is a text.
    body["content"] |= {NDJSON: {"schema": TEXT}, PLAIN: {"schema": TEXT}}
    return {
        "/v1/texts": {
            "post": {
                **asked(
                    "Sends texts to the input topic, and answers when all in-sync replicas have all of them.",
                    body_of(TextsTaken),
                    [key, coding],
                    _REFUSALS,
                    {"503": any_of(NotDelivered, Problem)},
                    kept=False,
                    status=202,
                ),
                "requestBody": {**body, "required": True},
            }
        }
    }
