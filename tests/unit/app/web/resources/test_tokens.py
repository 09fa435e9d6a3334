"""How a text is split, over HTTP."""

import httpx
import pytest
from prometheus_client import CollectorRegistry

from agents.text.choices import Policies
from agents.text.tokenizer import PROFILES, tokenizer
from app.text_bodies import MOST_TEXT_BYTES
from app.web.asgi import create_asgi_app
from app.web.resources.tokens import MOST_BYTES, explainer
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

TOKENS = "/v1/tokens"


async def test_words_come_with_their_places_and_counts(client):
    reply = await client.post(TOKENS, json={"text": "The ﬁn, the"})
    assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")
    assert reply.text == (
        '{"profile":"unicode","words":{"the":2,"fin":1},"tokens":[{"start":0,"end":3,"text":"The","word":"the"},'
        '{"start":4,"end":6,"text":"ﬁn","word":"fin"},{"start":8,"end":11,"text":"the","word":"the"}]}'
    )


@pytest.mark.parametrize("profile", PROFILES)
async def test_the_profile_and_the_options_are_those_of_the_process(profile):
    explain = explainer(tokenizer(profile, stop_words=["b"]), Policies())
    asgi_app = create_asgi_app(FakeQueries(), FakeHealth(), CollectorRegistry(), VERSION, explain=explain)
    transport = httpx.ASGITransport(asgi_app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        found = (await client.post(TOKENS, json={"text": "A b"})).json()
    first = "a" if profile == "unicode" else "A"
    assert (found["profile"], found["words"]) == (profile, {first: 1})
    assert [(one["word"], one.get("left_out")) for one in found["tokens"]] == [
        (first, None),
        ("b", "stop_word"),
    ]


async def test_a_text_of_the_largest_size_and_not_one_byte_more(client):
    escaped = "\x01" * MOST_TEXT_BYTES
    assert (await client.post(TOKENS, json={"text": escaped})).status_code == 200
    reply = await client.post(TOKENS, json={"text": "é" * (MOST_TEXT_BYTES // 2) + "x"})
    assert (reply.status_code, "16384 at most" in reply.json()["detail"]) == (422, True)
    assert (
        await client.post(
            TOKENS, content=b" " * (MOST_BYTES + 1), headers={"Content-Type": "application/json"}
        )
    ).status_code == 413


@pytest.mark.parametrize(
    ("body", "status"), [({}, 400), ({"text": 1}, 400), ({"text": "a", "x": 1}, 400), (["a"], 400)]
)
async def test_what_is_no_text_is_refused(client, body, status):
    assert (await client.post(TOKENS, json=body)).status_code == status


async def test_another_media_type_a_parameter_and_another_method_are_refused(client):
    assert (await client.post(TOKENS, content="a")).status_code == 415
    assert (await client.post(f"{TOKENS}?x=1", json={"text": "a"})).status_code == 400
    assert (await client.get(TOKENS)).status_code == 405
