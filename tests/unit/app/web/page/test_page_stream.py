"""The page's stream: it reads events in any pieces, comes back by itself, and goes on where it was."""

import json
from itertools import pairwise

import pytest

from tests.unit.app.web.page.engine import Engine


@pytest.fixture
def reader():
    return Engine("sse.js")


@pytest.fixture
def stream():
    engine = Engine("stream.js", "api.js")
    engine.run("""
      const told = [];
      const stream = new Stream({
        news: (body) => told.push(["news", body.n]),
        trouble: (problem) => told.push(["trouble", problem.title]),
        state: (name) => told.push(name),
      });
      stream.watch("top=3");
      stream.start();
    """)
    return engine


def open_requests(engine):
    return engine.run("requests.map(({ path, options }) => [path, options.headers])")


def respond(engine, status=200, body=None, retry_after=None):
    engine.run(
        f"respond(requests.at(-1), {status}, {json.dumps(json.dumps(body or {}))}, {json.dumps(retry_after)})"
    )


def send(engine, text):
    engine.run(f"requests.at(-1).pieces.push({json.dumps(text)}); serve(requests.at(-1))")


def event(number, position=7, kind="change"):
    return f'id: 0:{position}\nevent: {kind}\ndata: {{"n":{number}}}\n\n'


def told(engine):
    return engine.run("told.splice(0)")


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
def test_events_are_read_from_pieces_of_any_size(reader, cut):
    text = 'retry: 250\r\n\r\n: heartbeat\n\nid: 0:7\r\nevent: change\r\ndata: {"a":\r\ndata:1}\r\n\r\n'
    text += "data: x\r\rid\ndata: y\n\ndata: lost"
    reader.run(
        "const events = [], retries = []; const reader = new EventReader((one) => events.push(one), (ms) => retries.push(ms));"
    )
    for start in range(0, len(text), cut):
        reader.run(f"reader.feed({json.dumps(text[start : start + cut])})")
    assert reader.run("events") == [
        {"type": "change", "data": '{"a":\n1}', "id": "0:7"},
        {"type": "message", "data": "x"},
        {"type": "message", "data": "y", "id": ""},
    ]
    assert reader.run("retries") == [250]


def test_the_stream_tells_news_and_goes_on_where_it_was_after_its_end(stream):
    ((path, headers),) = open_requests(stream)
    assert (path, "Last-Event-ID" in headers) == ("v1/stream?top=3", False)
    respond(stream)
    send(stream, event(1, kind="snapshot") + event(2, 8)[:10])
    send(stream, event(2, 8)[10:])
    assert told(stream) == ["reconnecting", "live", ["news", 1], "live", ["news", 2]]
    send(stream, "retry: 1000\n\n")
    stream.run("close(requests.at(-1))")
    assert told(stream) == ["reconnecting"]
    stream.wait(0.9)
    assert len(open_requests(stream)) == 1
    stream.wait(0.2)
    assert open_requests(stream)[-1][1]["Last-Event-ID"] == "0:8"
    respond(stream)
    send(stream, event(3, 9))
    assert told(stream) == ["live", ["news", 3]]


def test_a_service_that_is_away_is_asked_again_with_growing_pauses_of_five_seconds_at_most(stream):
    asked_at = []
    for _ in range(9):
        asked_at.append(stream.run("now"))
        count = len(open_requests(stream))
        stream.run("requests.at(-1).reject(new Error('refused'))")
        while len(open_requests(stream)) == count:
            stream.wait(0.1)
    pauses = [after - before for before, after in pairwise(asked_at)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 400
    assert 4900 <= pauses[-1] <= 5100


def test_a_refusal_is_told_and_minded(stream):
    told(stream)
    respond(stream, 503, {"title": "Too many streams are open"}, 2)
    assert told(stream) == [["trouble", "Too many streams are open"], "reconnecting"]
    stream.wait(1.9)
    assert len(open_requests(stream)) == 1
    stream.wait(0.2)
    assert len(open_requests(stream)) == 2


def test_a_position_that_the_topic_has_not_is_forgotten(stream):
    respond(stream)
    send(stream, event(1, 99))
    stream.run("close(requests.at(-1), true)")
    stream.wait(1)
    assert open_requests(stream)[-1][1]["Last-Event-ID"] == "0:99"
    respond(stream, 400, {"title": "The request cannot be understood"})
    stream.wait(1)
    assert "Last-Event-ID" not in open_requests(stream)[-1][1]


def test_counts_that_never_reach_what_was_seen_belong_to_another_topic(stream):
    respond(stream)
    send(stream, event(1, 99))
    late = '{"type":"urn:problem-type:wordcount:not-yet-counted","title":"Late"}'
    send(stream, f"event: unavailable\ndata: {late}\n\n")
    assert ["trouble", "Late"] in told(stream)
    stream.wait(11)
    assert len(open_requests(stream)) == 1
    stream.wait(2)
    assert "Last-Event-ID" not in open_requests(stream)[-1][1]


def test_a_doubt_that_is_over_forgets_nothing(stream):
    respond(stream)
    send(stream, event(1, 99))
    late = '{"type":"urn:problem-type:wordcount:not-yet-counted","title":"Late"}'
    send(stream, f"event: unavailable\ndata: {late}\n\n")
    stream.wait(1)
    send(stream, event(2, 120))
    for _ in range(12):
        stream.wait(2)
        send(stream, ": heartbeat\n\n")
    assert len(open_requests(stream)) == 1
    assert stream.run("stream.lastId") == "0:120"


def test_a_silent_connection_is_given_up_and_one_with_comments_is_not(stream):
    respond(stream)
    for _ in range(8):
        send(stream, ": heartbeat\n\n")
        stream.wait(15)
    assert len(open_requests(stream)) == 1
    stream.wait(40)
    assert len(open_requests(stream)) == 2


def test_another_question_replaces_the_former_one_and_keeps_what_was_seen(stream):
    respond(stream)
    send(stream, event(1))
    stream.run('stream.watch("word=fox")')
    assert [path for path, _ in open_requests(stream)] == ["v1/stream?top=3", "v1/stream?word=fox"]
    assert stream.run("requests[0].options.signal.aborted") is True
    assert open_requests(stream)[-1][1]["Last-Event-ID"] == "0:7"
    told(stream)
    stream.run('stream.watch("word=fox")')
    assert len(open_requests(stream)) == 2


def test_a_stream_that_is_stopped_asks_nothing_until_it_is_started(stream):
    respond(stream)
    send(stream, event(1))
    stream.run("stream.stop()")
    told(stream)
    stream.wait(60)
    assert (len(open_requests(stream)), told(stream)) == (1, [])
    stream.run("stream.start()")
    assert open_requests(stream)[-1][1]["Last-Event-ID"] == "0:7"


def test_the_token_goes_into_a_header_and_never_into_an_address(stream):
    stream.run('useToken("secret-0123456789"); stream.restart()')
    path, headers = open_requests(stream)[-1]
    assert headers["Authorization"] == "Bearer secret-0123456789"
    assert "secret" not in path
    assert stream.run("kept.token") == "secret-0123456789"
