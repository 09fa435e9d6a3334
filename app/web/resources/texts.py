"""`/v1/texts`: takes texts, sends each as a record to the input topic, and answers when the brokers have all of them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.produce.receipt import Receipt
from app.text_bodies import TextsTaken
from app.web.intake import Intake
from app.web.parameters import query_parameters
from app.web.request_bodies import MOST_BYTES, BodyBudget, content_coding_of, media_type_of
from app.web.resource import Resource
from app.web.responses import json_response
from app.web.terms import offsets_text
from app.web.text_bodies import MEDIA_TYPES, texts_of
from app.web.unpacking import GZIP, Unpacking
from tables.errors import BadRequestError, WordcountError

MOST_HELD_BYTES: Final = 16 << 20
"""Most bytes, unpacked, of all bodies with texts that are read or sent at a time, with `TEXT_BYTES` for each text. While texts
are sent, they take up to three times as many bytes as in the body: as texts, as values and as batches."""

TEXT_BYTES: Final = 100
"""What a text takes besides its characters: as an object of Python, as a value, and in two lists."""

KEY_HEADER: Final = "Idempotency-Key"
KEY_PATTERN: Final = "[!-~]{1,255}"


def routes(intake: Intake) -> list[Resource]:
    """Return the route of `/v1/texts`."""
    bodies = BodyBudget(MOST_HELD_BYTES, "send fewer texts at a time")

    async def take_texts(request: Request) -> Response:
        if (refusal := intake.refusal(request)) is not None:
            return refusal
        try:
            receipt = await _taken(request, intake, bodies)
        except WordcountError as error:
            intake.failed(error)
            raise
        last = {partition: end - 1 for partition, end in receipt.ends.items()}
        taken = TextsTaken(receipt.accepted, dict(sorted(receipt.ends.items())), offsets_text(last))
        return json_response(taken, HTTPStatus.ACCEPTED)

    return [Resource("/v1/texts", take_texts, method="POST")]


async def _taken(request: Request, intake: Intake, bodies: BodyBudget) -> Receipt:
    """Read, check and send the texts of a request. Texts that are being sent are sent to their end, also if the client leaves."""
    intake.ingest.check()
    query_parameters(request)
    media_type = media_type_of(request, *MEDIA_TYPES)
    unpacking = Unpacking() if content_coding_of(request, GZIP) else None
    key = _key_of(request)
    async with bodies.body_of(request, MOST_BYTES, unpacking) as body:
        size_bytes = len(body)
        intake.has_read(request, size_bytes)
        texts = texts_of(body, media_type)
        del body  # Its bytes are free for the values and batches that are made of the texts.
        with bodies.more(len(texts) * TEXT_BYTES):
            receipt = await intake.ingest.send(texts, key)
        intake.accepted(receipt, size_bytes)
    return receipt


def _key_of(request: Request) -> str | None:
    """Return the `Idempotency-Key` of a request; None if it has none. Raise BadRequestError if it is no key."""
    given = request.headers.getlist(KEY_HEADER)
    if not given:
        return None
    if len(given) > 1 or not re.fullmatch(KEY_PATTERN, given[0]):
        raise BadRequestError(
            f'"{KEY_HEADER}" is given twice, or has other characters, or too many',
            "give 1 to 255 visible ASCII characters",
        )
    return given[0]
