import json
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from app.settings import load_settings
from app.worker_client import word_path, worker_url
from tables.errors import ConfigurationError, NotReadyError


@pytest.fixture(autouse=True)
def port_setting(request, monkeypatch):
    if "worker_port" in request.fixturenames:
        monkeypatch.setenv("WORDCOUNT_HTTP_PORT", str(request.getfixturevalue("worker_port")))


def test_top_shows_words_counts_and_how_fresh_and_complete_they_are(wordcount, worker_port):
    outcome = wordcount("top", "-k", "2")
    assert outcome.code == 0
    rows = [line.strip("│ ").split() for line in outcome.out.splitlines() if line.startswith("│")]
    assert [[cell for cell in row if cell != "│"] for row in rows] == [["1", "the", "5"], ["2", "fox", "2"]]
    assert "complete: 2 of 2 partitions\n" in outcome.out
    assert "as of (partition: next offset): 2: 123, 10: 7\n" in outcome.out


def test_an_answer_with_partitions_missing_says_which(wordcount, worker_port, queries):
    queries.complete, queries.missing = False, (3, 4)
    assert "INCOMPLETE: 2 of 4 partitions; missing: partition 3, 4\n" in wordcount("top").out
    queries.missing = ()
    assert "INCOMPLETE: 2 of ? partitions; missing: which, is not known\n" in wordcount("get", "fox").out


def test_words_are_shown_as_they_are_not_as_markup(wordcount, worker_port, queries):
    queries.counts = {"[bold]x[/bold]": 7}
    assert "[bold]x[/bold]" in wordcount("top").out
    assert "[bold]x[/bold]: 7\n" in wordcount("get", "[bold]x[/bold]").out


@pytest.mark.parametrize("word", ["the", "a/b", "..", ".", "", "ü %2F?#", "two words"])
def test_get_asks_for_any_word(wordcount, worker_port, queries, word):
    queries.counts = {word: 1234}
    outcome = wordcount("get", "--", word)
    assert (outcome.code, outcome.out.splitlines()[0]) == (0, f"{word}: 1,234")


def test_an_unknown_word_is_said_to_be_unknown_with_exit_code_1(wordcount, worker_port):
    outcome = wordcount("get", "wolf")
    assert outcome.code == 1
    assert outcome.out.splitlines()[:2] == ["wolf: does not occur", "complete: 2 of 2 partitions"]


def test_json_is_what_the_worker_answers(wordcount, worker_port):
    body = json.loads(wordcount("get", "--json", "fox").out)
    assert (body["word"], body["count"], body["as_of"], body["complete"]) == (
        "fox",
        2,
        {"2": 123, "10": 7},
        True,
    )
    assert json.loads(wordcount("top", "--json", "-k", "1").out)["words"] == [{"word": "the", "count": 5}]
    unknown = wordcount("get", "--json", "wolf")
    assert (unknown.code, json.loads(unknown.out)["status"]) == (1, 404)


def test_the_address_can_be_given(wordcount, worker_port, monkeypatch):
    monkeypatch.delenv("WORDCOUNT_HTTP_PORT")
    assert wordcount("get", "fox", "--url", f"http://127.0.0.1:{worker_port}/").code == 0


def test_a_proxy_of_the_environment_is_not_asked(wordcount, worker_port, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert wordcount("get", "fox").code == 0


def test_without_a_worker_one_line_says_what_to_do(wordcount):
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    outcome = wordcount("top", "--url", f"http://127.0.0.1:{port}")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"wordcount: no worker answers at http://127.0.0.1:{port} (")
    assert "wordcount worker" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_worker_that_is_not_ready_is_named_with_its_reason(wordcount, worker_port, queries):
    queries.error = NotReadyError("no partition is restored yet")
    outcome = wordcount("top")
    assert outcome.code == 1
    assert "cannot answer yet: no partition is restored yet; ask again" in outcome.err


def test_something_else_on_that_port_is_not_taken_for_a_worker(wordcount):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"hello": "world"}')

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.handle_request).start()
        outcome = wordcount("top", "--url", f"http://127.0.0.1:{server.server_port}")
    assert (outcome.code, "is not a worker" in outcome.err) == (1, True)


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://127.0.0.1:port"])
def test_a_wrong_address_is_named(wordcount, url):
    outcome = wordcount("top", "--url", url)
    assert outcome.code in (1, 2)
    assert outcome.err.startswith("wordcount: ")
    assert url in outcome.err


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"), ("10.0.0.7", "http://10.0.0.7:80")],
)
def test_the_address_by_default_is_reachable_from_the_same_machine(host, url):
    assert worker_url(load_settings(http_host=host, http_port=80)) == url


def test_a_port_left_to_chance_is_asked_for():
    with pytest.raises(ConfigurationError, match=r"WORDCOUNT_HTTP_PORT is 0.*--url"):
        worker_url(load_settings(http_port=0))


def test_no_word_changes_the_path_it_is_part_of():
    assert word_path("../a b/ü") == "/v1/words/%2E%2E%2Fa%20b%2F%C3%BC"
