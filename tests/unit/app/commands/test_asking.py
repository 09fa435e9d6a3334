import json
import os
import re
import socket
import subprocess
import sys
from collections import namedtuple
from datetime import datetime

import pytest

from app.config.loading import load_settings
from app.exit_codes import EXIT_READER_GONE
from app.operate.worker_client import word_path, worker_url
from app.printable import printable
from app.reads.answers import PartitionStatus
from tables.errors import ConfigurationError, NotReadyError
from tests.unit.app.commands.other_services import JSON, PROBLEM, Other, answer_of


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


@pytest.mark.slow
def test_a_watch_that_is_no_terminal_has_a_line_for_each_answer_as_it_comes(worker_port, pytestconfig):
    with subprocess.Popen(
        [sys.executable, "-m", "app", "top", "--watch", "--url", f"http://127.0.0.1:{worker_port}"],
        cwd=pytestconfig.rootpath,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as watching:
        # The second line is read while the command goes on.
        for _ in range(2):
            line = watching.stdout.readline().decode()
            time, _, text = line.partition(" ")
            assert datetime.fromisoformat(time).tzinfo is not None
            assert text == (
                "the: 5, fox: 2, over: 1; complete: 2 of 2 partitions; records not counted yet: not known; answered by followers "
                "(partition: which): 2: standby, 7 records and 0.5 s behind; "
                f"answered by http://127.0.0.1:{worker_port}\n"
            )
        watching.stdout.close()
        assert watching.wait(30) == EXIT_READER_GONE
        assert watching.stderr.read() == b""


def test_top_of_a_window_says_which_window_and_whether_it_is_final(wordcount, worker_port, queries):
    outcome = wordcount("top", "-k", "1", "--window", "1m")
    assert outcome.code == 0
    assert "window 1m: 2026-01-01T00:05:00Z to 2026-01-01T00:06:00Z, final\n" in outcome.out
    outcome = wordcount("top", "--window", "1m", "--at", "2026-01-01T00:00:30Z")
    assert "NOT WHOLE" in outcome.out
    assert "to 2026-01-01T00:01:00Z, final; NOT WHOLE, its first records" in outcome.out.replace("\n", " ")
    assert queries.windows.asked[-1]["start_s"] == 1767225600
    assert json.loads(wordcount("top", "--window", "1m", "--json").out)["size"] == "1m"
    refused = wordcount("top", "--window", "1h/5m")
    assert (refused.code, refused.out) == (2, "")
    assert "no windows of 1h/5m are counted" in refused.err


@pytest.mark.parametrize(
    "arguments", [["--at", "2026-01-01T00:00:30Z"], ["--window", "1m", "--watch"]], ids=" ".join
)
def test_a_window_is_named_and_not_watched(wordcount, arguments):
    assert wordcount("top", *arguments).code == 2


def test_get_shows_the_newest_windows_of_a_word(wordcount, worker_port):
    lines = wordcount("get", "fox", "--windows", "1m").out.splitlines()
    assert lines[0] == "fox"
    assert lines[-7:-3] == [
        "2026-01-01T00:06:00Z             0",
        "2026-01-01T00:07:00Z             2",
        "final windows of 1m: those that end by 2026-01-01T00:06:00Z",
        "NOT WHOLE: windows that begin before 2026-01-01T00:01:00Z",
    ]
    assert json.loads(wordcount("get", "fox", "--windows", "60", "--json").out)["word"] == "fox"


def test_an_answer_with_partitions_missing_says_which(wordcount, worker_port, queries):
    queries.complete, queries.missing = False, (3, 4)
    partial = "--allow-partial"
    assert "INCOMPLETE: 2 of 4 partitions; missing: partition 3, 4\n" in wordcount("top", partial).out
    queries.missing = ()
    said = "INCOMPLETE: 2 of ? partitions; missing: which, is not known\n"
    assert said in wordcount("get", "fox", partial).out


@pytest.mark.parametrize("command", [["top"], ["get", "fox"]], ids=" ".join)
def test_an_answer_without_all_partitions_is_refused_unless_allowed(wordcount, worker_port, queries, command):
    queries.complete, queries.missing = False, (3, 4)
    outcome = wordcount(*command)
    assert (outcome.code, outcome.out) == (1, "")
    assert (
        "cannot answer now: no answer for partition 3 (no worker has the partition) and 1 more" in outcome.err
    )


def test_an_answer_by_followers_says_how_far_these_are_behind(wordcount, worker_port, queries):
    said = "answered by followers (partition: which): 2: standby, 7 records and 0.5 s behind\n"
    assert said in wordcount("get", "fox").out
    queries.behind = {}
    assert "followers" not in wordcount("get", "fox").out


def test_words_that_are_not_proven_to_be_the_top_are_said_to_be_so(wordcount, worker_port, queries):
    queries.max_error = 1234
    said = (
        "NOT PROVEN: a word that is not listed may occur 1,234 times more often than the last listed word\n"
    )
    assert said in wordcount("top").out
    assert said not in wordcount("top", "--exact").out


def test_words_are_shown_as_they_are_not_as_markup(wordcount, worker_port, queries):
    queries.counts = {"[bold]x[/bold]": 7}
    assert "[bold]x[/bold]" in wordcount("top").out
    assert "[bold]x[/bold]: 7\n" in wordcount("get", "[bold]x[/bold]").out


@pytest.mark.parametrize(
    "word", ["the", "a/b", "/", "..", ".", "", "ü %2F?#", "two words", "a\nb", "\n", "a\r\n", "\x1b[31m"]
)
def test_get_asks_for_any_word(wordcount, worker_port, queries, word):
    queries.counts = {word: 1234}
    outcome = wordcount("get", "--", word)
    assert (outcome.code, outcome.out.split("\n")[0]) == (0, f"{printable(word)}: 1,234")


def test_an_unknown_word_with_a_line_feed_is_unknown_and_no_other_resource(wordcount, worker_port):
    outcome = wordcount("get", "a\nb")
    assert (outcome.code, outcome.out.split("\n")[0]) == (1, "a\\nb: does not occur")


def test_a_word_of_bytes_that_are_no_text_is_refused_in_one_line(wordcount, worker_port):
    outcome = wordcount("get", os.fsdecode(b"\xff"))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "wordcount: the word is not UTF-8; use a terminal and a locale with UTF-8\n"


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


@pytest.fixture
def moments(queries, monkeypatch):
    """Errors of the worker, or None, for the questions of a watch after the first; then comes Ctrl-C. Also the pauses."""
    coming, pauses = [], []

    def wait(pause_s):
        pauses.append(pause_s)
        if not coming:
            raise KeyboardInterrupt
        queries.error = coming.pop(0)

    monkeypatch.setattr("time.sleep", wait)
    coming_and_pauses = namedtuple("Moments", "coming pauses")
    return coming_and_pauses(coming, pauses)


BUSY = NotReadyError("8 questions wait")


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["lines", "json"])
def test_a_watch_outlasts_a_worker_that_is_not_ready_for_a_moment(
    wordcount, worker_port, queries, moments, flags
):
    queries.error = BUSY
    moments.coming.extend([None, BUSY, None])
    outcome = wordcount("top", "--watch", "--interval", "7.5", *flags)
    assert (outcome.code, outcome.out.count("fox"), moments.pauses) == (130, 2, [7.5] * 4)
    assert (outcome.err if flags else outcome.out).count("cannot answer now: 8 questions wait") == 2


def test_a_watch_on_a_terminal_is_drawn_in_place_and_keeps_what_was_shown(
    wordcount, worker_port, queries, moments, monkeypatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    moments.coming.append(BUSY)
    outcome = wordcount("top", "--watch")
    assert outcome.code == 130
    # Before a table is drawn, the lines of the former one are erased, from the last to the first.
    drawn = [part for part in re.split(r"(?:\x1b\[2K|\x1b\[1A)+", outcome.out) if "fox" in part]
    assert len(drawn) > 1
    for table in (drawn[0], drawn[-1]):
        assert f"answered by http://127.0.0.1:{worker_port}" in table
        assert "asked at " in table
        assert ("cannot answer now: 8 questions wait" in table) == (table is drawn[-1])


def test_a_watch_that_never_had_an_answer_ends_where_nobody_listens(wordcount, moments):
    outcome = wordcount("top", "--watch", "--url", "http://127.0.0.1:1")
    assert (outcome.code, outcome.out, moments.pauses) == (1, "", [])
    assert "no worker answers at http://127.0.0.1:1 (" in outcome.err


def test_a_watch_says_which_partitions_are_missing(wordcount, worker_port, queries, moments):
    moments.coming.append(None)
    queries.complete, queries.missing = False, (3,)
    assert (
        wordcount("top", "--watch").out.count("no answer for partition 3 (no worker has the partition)") == 2
    )
    assert wordcount("top", "--watch", "--allow-partial").out.count("missing: partition 3;") == 1


def test_a_watch_tells_how_many_records_are_not_counted_yet(wordcount, worker_port, queries, moments):
    queries.status = {2: PartitionStatus("counting", 5, 1230), 10: PartitionStatus("counting", 8, 8)}
    assert "; records not counted yet: 1,225; " in wordcount("top", "--watch").out
    queries.status[10] = PartitionStatus("restoring")
    assert "; records not counted yet: not known; " in wordcount("top", "--watch").out


@pytest.mark.parametrize(
    "status",
    [
        {2: PartitionStatus("following", 5), 10: PartitionStatus("following", 8)},
        {2: PartitionStatus("counting", 5, 1230), 10: PartitionStatus("following", 8)},
        {2: PartitionStatus("counting", 5, 1230)},
        {},
    ],
)
def test_a_watch_does_not_take_an_unknown_lag_for_none(wordcount, worker_port, queries, moments, status):
    queries.status = status
    assert "; records not counted yet: not known; " in wordcount("top", "--watch").out


def test_a_pause_without_a_watch_is_refused(wordcount, worker_port):
    outcome = wordcount("top", "--interval", "2")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--interval: it is the pause of --watch" in outcome.err


def test_a_worker_that_is_not_ready_is_named_with_its_reason(wordcount, worker_port, queries):
    queries.error = NotReadyError("no partition is restored yet")
    outcome = wordcount("top")
    assert outcome.code == 1
    assert "cannot answer now: no partition is restored yet (asked here, because" in outcome.err
    assert outcome.err.endswith("; ask again in 1 s\n")


FRESH = b'"as_of": {}, "complete": true, "missing_partitions": [], "served_by": {}, "behind": {}'
NO_WORKER = {
    "no answer's members": answer_of("200 OK", JSON, b'{"hello": "world"}'),
    "the default of web frameworks": answer_of("404 Not Found", JSON, b'{"detail": "Not Found"}'),
    "a problem of others": answer_of("404 Not Found", PROBLEM, b'{"type": "about:blank", "detail": "no"}'),
    "a busy other": answer_of("503 Busy", JSON, b'{"detail": "busy"}'),
    "other types of members": answer_of(
        "200 OK", JSON, b'{"words": 5, "count": "many", "version": 1, "next_cursor": null, ' + FRESH + b"}"
    ),
    "values out of bounds": answer_of(
        "200 OK",
        JSON,
        b'{"word": "fox", "words": [{"word": "fox", "count": -1}], "count": -1, "exact": true, "max_error": 0, "version": 1, '
        b'"next_cursor": null, ' + FRESH + b"}",
    ),
    "an array": answer_of("200 OK", JSON, b"[]"),
    "half of an object": answer_of("200 OK", JSON, b'{"version": '),
    "not UTF-8": answer_of("200 OK", JSON, b'"\xff"'),
    "deeply nested": answer_of("200 OK", JSON, b"[" * 100_000),
    "not packed as said": answer_of("200 OK", JSON, b"{}", "Content-Encoding: gzip"),
    "a page": answer_of("200 OK", "text/html", b"<html>"),
    "an endless page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
    "another place": answer_of("302 Found", JSON, b"{}", "Location: https://example.org/"),
    "an unknown word without a word": answer_of(
        "404 Not Found", PROBLEM, b'{"type": "urn:problem-type:wordcount:unknown-word", "detail": "x"}'
    ),
}


@pytest.mark.parametrize("command", [["top"], ["get", "fox"], ["get", "--json", "fox"]], ids=" ".join)
@pytest.mark.parametrize("answer", NO_WORKER.values(), ids=NO_WORKER)
def test_something_else_on_that_port_is_not_taken_for_a_worker(wordcount, command, answer):
    with Other(answer) as url:
        outcome = wordcount(*command, "--url", url)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"wordcount: what answers at {url} is not a worker")
    assert outcome.err.count("\n") == 1


def test_members_that_a_newer_worker_adds_are_passed_over(wordcount):
    body = b'{"word": "fox", "count": 2, "words": [{"word": "fox", "count": 2, "new": 1}], "exact": true, "max_error": 0, '
    body += b'"next_cursor": null, "new": {"as_of": []}, ' + FRESH + b"}"
    for command in (["get", "fox"], ["top"]):
        with Other(answer_of("200 OK", JSON, body)) as url:
            outcome = wordcount(*command, "--url", url)
        assert (outcome.code, outcome.err) == (0, "")
        assert "fox" in outcome.out


def test_a_worker_that_takes_too_long_is_not_said_to_be_absent(wordcount, monkeypatch):
    monkeypatch.setattr("app.operate.worker_client._TIMEOUT_S", 0.2)
    with Other(None) as url:
        outcome = wordcount("top", "--url", url)
    assert outcome.code == 1
    assert "has not answered within 0.2 s; if it is a worker it is busy" in outcome.err


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"], ids=["nothing", "another protocol"])
def test_an_answer_that_is_not_http_is_not_said_to_be_absent(wordcount, answer):
    with Other(answer) as url:
        outcome = wordcount("top", "--url", url)
    assert outcome.code == 1
    assert f"what listens at {url} gave no answer in HTTP (" in outcome.err


def test_a_busy_worker_is_named_with_the_time_to_wait(wordcount):
    body = b'{"type": "urn:problem-type:wordcount:busy", "title": "Busy", "status": 503, "detail": "8 wait"}'
    with Other(answer_of("503 Busy", PROBLEM, body, "Retry-After: 2")) as url:
        outcome = wordcount("top", "--url", url)
    assert outcome.code == 1
    assert outcome.err == f"wordcount: the worker at {url} cannot answer now: 8 wait; ask again in 2 s\n"


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
