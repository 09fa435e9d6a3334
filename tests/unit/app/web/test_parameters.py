import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.parameters import cursor_after, word_of_cursor
from tables.errors import BadRequestError

BAD_ENCODING = ["%FF", "%C3%28", "%ED%A0%80", "%C0%80", "%", "%4", "%zz", "a%"]


@given(st.text(), st.text())
def test_a_cursor_is_url_safe_and_leads_back_to_its_word(prefix, rest):
    word = prefix + rest
    cursor = cursor_after(word, prefix)
    assert cursor
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert word_of_cursor(cursor, prefix) == word


@given(st.text(), st.text(), st.text())
def test_a_cursor_leads_nowhere_from_another_prefix(prefix, rest, other):
    cursor = cursor_after(prefix + rest, prefix)
    others = {other, *((prefix + rest)[:length] for length in range(len(prefix + rest) + 1))} - {prefix}
    for one in others:
        with pytest.raises(BadRequestError, match="of a page of the same prefix"):
            word_of_cursor(cursor, one)


@pytest.mark.parametrize("word", ["wolf", "wo\x00lf", "wo:2:", "wo"])
async def test_a_cursor_of_another_prefix_is_a_400(client, queries, word):
    queries.counts = {word: 1, word + "z": 2}
    first = (await client.get("/v1/words", params={"prefix": "wo", "limit": 1})).json()
    assert [row["word"] for row in first["words"]] == [word]
    for accept in ("application/json", "text/csv"):
        for prefix in ("w", "", word, "wolfs", "wp"):
            if prefix != "wo":
                asked = {"prefix": prefix, "cursor": first["next_cursor"]}
                reply = await client.get("/v1/words", params=asked, headers={"Accept": accept})
                assert reply.status_code == 400
                assert "same prefix" in reply.json()["detail"]
    asked = {"prefix": "wo", "cursor": first["next_cursor"]}
    assert [row["word"] for row in (await client.get("/v1/words", params=asked)).json()["words"]] == [
        word + "z"
    ]


async def test_a_cursor_of_the_former_form_is_a_400(client):
    assert (await client.get("/v1/words", params={"cursor": "d2ZveA"})).status_code == 400


async def raw_get(client, path, query=b""):
    """Send bytes that a well-behaved client would not: straight to the application, as a server hands them over."""
    sent = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path.decode("ascii").replace("%", "\N{REPLACEMENT CHARACTER}"),
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await client._transport.app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()


@pytest.mark.parametrize("encoded", BAD_ENCODING)
async def test_a_path_that_is_not_percent_encoded_text_is_a_400(client, encoded):
    for path in (f"/v1/words/{encoded}", f"/count/{encoded}/"):
        status, body = await raw_get(client, path.encode())
        assert status == 400, body
        assert "the path" in body


@pytest.mark.parametrize("encoded", BAD_ENCODING)
@pytest.mark.parametrize("name", ["prefix", "cursor", "limit"])
async def test_a_query_that_is_not_percent_encoded_text_is_a_400(client, name, encoded):
    status, body = await raw_get(client, b"/v1/words", f"{name}={encoded}".encode())
    assert status == 400, body


async def test_raw_bytes_in_a_query_are_a_400_unless_they_are_utf8(client):
    assert (await raw_get(client, b"/v1/words", b"prefix=\xff"))[0] == 400
    assert (await raw_get(client, b"/v1/words", "prefix=é".encode()))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/words/fox?x=1",
        "/v1/words?x=1",
        "/v1/words?Limit=1",
        "/v1/words?k=1",
        "/v1/top?limit=1",
        "/v1/top?x",
        "/v1/stats?x=1",
        "/count/fox/?x=1",
        "/v1/words?=1",
    ],
)
async def test_an_unknown_parameter_is_a_400_that_names_it(client, path):
    reply = await client.get(path)
    assert reply.status_code == 400
    name = path.partition("?")[2].partition("=")[0]
    assert f'unknown query parameter "{name}"' in reply.json()["detail"]


async def test_a_parameter_given_twice_is_a_400(client):
    reply = await client.get("/v1/top?k=1&k=2")
    assert reply.status_code == 400
    assert '"k" is given twice' in reply.json()["detail"]


@pytest.mark.parametrize(
    "value", ["0", "1001", "-1", "+5", "1.0", "1e2", "", " 5", "ten", "0x10", "９", "9" * 5000, "1_0"]
)
@pytest.mark.parametrize("path", ["/v1/words?limit", "/v1/top?k"])
async def test_a_number_that_cannot_be_used_is_a_422_that_says_what_can(client, path, value):
    where, _, name = path.partition("?")
    reply = await client.get(where, params={name: value})
    assert reply.status_code == 422
    assert "a whole number from 1 to 1000" in reply.json()["detail"]
    assert len(reply.text) < 1000


@pytest.mark.parametrize(
    "path", ["/v1/words?limit=1", "/v1/words?limit=1000", "/v1/top?k=1", "/v1/top?k=1000", "/v1/top?&"]
)
async def test_bounds_are_inclusive(client, path):
    assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/version", "/openapi.json", "/"])
async def test_probes_and_pages_answer_whatever_a_proxy_adds(client, path):
    assert (await client.get(path + "?added=1")).status_code == 200
