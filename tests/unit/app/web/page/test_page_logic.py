"""What the page makes of answers, before it draws anything."""

import json
from itertools import pairwise

import pytest

from tests.unit.app.web.page.engine import Engine

PURE = (
    "format.js",
    "freshness.js",
    "whole.js",
    "samples.js",
    "places.js",
    "accounting.js",
    "split.js",
    "suggestions.js",
    "ranks.js",
    "poll.js",
)


@pytest.fixture(scope="module")
def page():
    return Engine(*PURE)


def call(page, function, *arguments):
    """What a function of the page returns."""
    return page.run(f"({function})({', '.join(json.dumps(one) for one in arguments)})")


@pytest.mark.parametrize("word", ["fox", "a/b", "100%", "#/word/x", "é\u2028", "", "<img src=x>", "👍"])
def test_the_address_of_a_word_leads_to_the_word(page, word):
    address = call(page, "wordAddress", word)
    assert address.startswith("#/word/")
    assert "/" not in address.removeprefix("#/word/")
    assert call(page, "wordOf", address) == word


def test_an_address_that_is_no_encoding_is_taken_as_it_is(page):
    assert call(page, "wordOf", "#/word/100%") == "100%"
    assert call(page, "wordOf", "#/") is None


def test_words_that_nobody_would_see_are_named(page):
    assert call(page, "wordText", "") == "(empty word)"
    assert call(page, "wordText", "\u200b\u0301") == "“\u200b\u0301” (U+200B U+0301)"
    assert call(page, "wordText", "a\u0301") == "a\u0301"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (12.4, "12 s"), (180, "3 min"), (7200, "2 h")],
)
def test_ages_are_short(page, seconds, text):
    assert call(page, "age", seconds) == text


@pytest.mark.parametrize(
    ("size", "name"),
    [("1m", "minute"), ("1h", "hour"), ("10m", "10 minutes"), ("1h/5m", "1h/5m"), ("7d", "7 days")],
)
def test_sizes_of_windows_have_names(page, size, name):
    assert call(page, "sizeName", size) == name


def fresh(as_of, seconds=0.0):
    return {"as_of": as_of, "behind": {"0": {"records": 3, "seconds": seconds}} if seconds else {}}


def test_what_is_shown_is_as_old_as_the_last_answer_that_confirms_it(page):
    page.run("const freshness = new Freshness(); globalThis.freshness = freshness")
    assert page.run("freshness.age(0)") is None
    page.run(f"freshness.show({json.dumps(fresh({'0': 7, '10': 8}))}, 1000)")
    assert page.run("freshness.age(3000)") == 2
    assert page.run(f"freshness.compare({json.dumps(fresh({'10': 8, '0': 7}))}, 4000)") is True
    assert page.run("freshness.age(4500)") == 0.5
    assert page.run(f"freshness.compare({json.dumps(fresh({'0': 8, '10': 8}))}, 8000)") is False
    assert page.run("[freshness.isStale(9000), freshness.isStale(9001)]") == [False, True]


def test_a_follower_that_lags_makes_an_answer_older(page):
    page.run("globalThis.lagging = new Freshness()")
    page.run(f"lagging.show({json.dumps(fresh({'0': 7}, 6.5))}, 0)")
    assert page.run("[lagging.age(500), lagging.isStale(0)]") == [7, True]


def test_while_partitions_move_the_last_whole_answer_stays_for_a_while(page):
    page.run("globalThis.whole = new Whole()")
    told = [
        (False, {"0": 7}, 0, True),  # Nothing is shown yet.
        (True, {"0": 7, "1": 7}, 1_000, True),
        (False, {"0": 7}, 20_000, False),
        (False, {"0": 9}, 28_000, False),
        (False, {"0": 9}, 28_001, True),
        (False, {}, 60_000, False),
        (True, {"0": 9, "1": 7}, 61_000, True),
        (False, {"0": 9}, 62_000, False),
    ]
    for complete, as_of, now_ms, is_shown in told:
        asked = json.dumps({"complete": complete, "as_of": as_of})
        assert page.run(f"whole.accepts({asked}, {now_ms})") is is_shown


def test_a_partition_that_begins_to_answer_is_not_taken_for_speed(page):
    page.run("globalThis.rate = new Rate(5000)")
    told = [
        ("rate.after(8, '0', 0)", None),
        ("rate.after(108, '0', 1000)", 100),
        ("rate.after(1e6, '0,1', 2000)", None),
    ]
    told += [("rate.after(1e6 + 30, '0,1', 3000)", 30), ("rate.after(2e6, '0,1', 60000)", None)]
    for code, rate in told:
        assert page.run(f"[{code}]") == [rate]


def test_samples_and_histories_stay_bounded(page):
    page.run("globalThis.samples = new Samples(3); [1, 2, undefined, 4].forEach((one) => samples.push(one))")
    assert page.run("Array.from(samples.values)") == [2, None, 4]
    page.run(
        "globalThis.past = new History(50, 500); for (let n = 0; n <= 100000; n++) past.push(n, 100 * n)"
    )
    points = page.run("past.points")
    assert len(points) <= 50
    assert (points[0]["value"], points[-1]["value"]) == (0, 100_000)
    steps = [after["ms"] - before["ms"] for before, after in pairwise(points[:-1])]
    assert max(steps) <= 2.1 * min(steps)


def test_records_to_read_are_told_only_where_all_partitions_tell_them(page):
    lags = {"0": {"lag_records": 2}, "1": {"lag_records": 3}}
    as_of = {"0": 7, "1": 8}
    for partitions, complete, lag in (
        (lags, True, 5),
        (lags, False, None),
        ({**lags, "1": {"lag_records": None}}, True, None),
        ({"0": lags["0"]}, True, None),
    ):
        asked = json.dumps({"as_of": as_of, "complete": complete, "partitions": partitions})
        assert page.run(f"[lagOf({asked})]") == [lag]


def counted(state="counting", position=7, lag=2, restored=1.0, problem=""):
    return {
        "state": state,
        "position": position,
        "lag_records": lag,
        "restored": restored,
        "problem": problem,
    }


def followed(state="following", restored=1.0, problem=""):
    behind = {"behind_records": 30, "behind_seconds": 0.25}
    return {"state": state, "position": 6, **behind, "restored": restored, "problem": problem}


def worker(number, active, standby=None, problem=""):
    named = {"url": f"http://10.0.0.{number}:80", "here": number == 1, "problem": problem, "version": "1.2.3"}
    return {**named, "active": active, "standby": standby or {}}


def test_each_partition_has_a_row_with_its_worker_and_its_followers(page):
    workers = [
        worker(1, {"10": counted(), "2": counted("restoring", None, None, 0.456)}, {"1": followed()}),
        worker(2, {"1": counted("stopped", 3, 4, 1.0, "records expired")}, {"2": followed("restoring", 0.9)}),
        worker(3, {"0": None}, {"10": None}, "cannot be reached"),
    ]
    rows = call(page, "placesOf", {"generation": 5, "partitions": 4, "workers": workers})
    assert [
        (row["partition"], row["worker"], row["state"], row["kind"], row["restored"]) for row in rows
    ] == [
        (0, "10.0.0.3:80", "not known", "bad", None),
        (1, "10.0.0.2:80", "stopped", "bad", 1),
        (2, "10.0.0.1:80", "restoring", "busy", 0.456),
        (3, "nobody", "waits for a worker", "bad", None),
        (10, "10.0.0.1:80", "counting", "good", 1),
    ]
    assert [[one["worker"] for one in row["followers"]] for row in rows] == [
        [],
        ["10.0.0.1:80"],
        ["10.0.0.2:80"],
        [],
        ["10.0.0.3:80"],
    ]
    assert (rows[1]["problem"], rows[1]["behind"], rows[1]["followers"][0]["behind"]) == (
        "records expired",
        "4 records",
        "30 records, 0.3 s",
    )


def test_workers_are_told_with_what_they_do_or_why_that_is_not_known(page):
    workers = [
        worker(1, {"0": counted()}, {"1": followed()}),
        worker(2, {}),
        worker(3, {"1": None}, {}, "is away"),
    ]
    told = call(page, "workersOf", {"generation": 1, "partitions": 2, "workers": workers})
    assert [(one["name"], one["said"], one["isWrong"]) for one in told] == [
        ("10.0.0.1:80 (this one)", "counts 1, follows 1 · 1.2.3", False),
        ("10.0.0.2:80", "has no partition · 1.2.3", False),
        ("10.0.0.3:80", "does not answer: is away", True),
    ]


def test_a_view_shows_what_it_follows_itself(page):
    here = {**worker(1, {}, {"0": followed(), "1": followed("restoring", 0.5)}), "url": ""}
    view = {"generation": None, "partitions": 3, "workers": [here]}
    rows = call(page, "placesOf", view)
    assert [(row["worker"], row["state"], row["restored"]) for row in rows] == [
        ("this view", "following", 1),
        ("this view", "restoring", 0.5),
        ("nobody", "waits for a follower", None),
    ]
    assert call(page, "whose", view) == "Answered by a view, which follows the workers."
    assert (
        call(page, "whose", {"generation": None, "partitions": 2, "workers": [{**here, "standby": {}}]}) == ""
    )


def test_who_answered_is_told_with_how_far_followers_are_behind(page):
    workers = [worker(1, {"0": counted()}), worker(2, {})]
    whose = call(page, "whose", {"generation": 1, "partitions": 1, "workers": workers})
    assert whose == "Answered by 10.0.0.1:80, one of 2 workers."
    behind = {"2": {"records": 7, "seconds": 0.5}, "5": {"records": 3, "seconds": 1.25}}
    said = call(page, "followersSaid", {"behind": behind})
    assert said == "Followers answered for partitions 2, 5: up to 7 records and 1.3 s behind."


def test_every_record_is_accounted_for_by_reason(page):
    stats = {
        "records": 10,
        "counted": 7,
        "skipped": {"null": 1},
        "dead_lettered": {"invalid_json": 1, "oversized_record": 0, "missing_text": 1},
        "dropped_words": {"stop_word": 4},
        "partitions": {
            "0": {"late": {"1m": 2}},
            "1": {"late": {"1m": 1}, "untimed": {"new_reason": 5}},
            "2": {},
        },
    }
    assert call(page, "sumsOf", stats) == {"records": 10, "counted": 7, "skipped": 1, "dead": 2}
    assert [tuple(row.values()) for row in call(page, "reasonsOf", stats)] == [
        ("the value is no JSON document", "dead letter", 1, "records"),
        ("the document has no text at the pointer", "dead letter", 1, "records"),
        ("the record has no value", "skipped", 1, "records"),
        ("stop words", "left out of counted records", 4, "words"),
        ("too late for a window of 1m", "in the totals only", 3, "records"),
        ("new reason", "in the totals only", 5, "records"),
    ]


def token(start, end, word, left_out=None):
    return {"start": start, "end": end, "word": word} | ({"left_out": left_out} if left_out else {})


def test_a_text_is_cut_at_places_that_count_code_points(page):
    parts = call(page, "partsOf", "👍 Fox,㍿!", [token(2, 5, "fox"), token(6, 7, "株"), token(6, 7, "式")])
    told = [(part["text"], [one["word"] for one in part.get("words", [])]) for part in parts]
    assert told == [("👍 ", []), ("Fox", ["fox"]), (",", []), ("㍿", ["株", "式"]), ("!", [])]
    assert "".join(text for text, _ in told) == "👍 Fox,㍿!"


def test_what_was_found_in_a_text_is_told_in_a_sentence(page):
    tokens = [token(0, 1, "a"), token(2, 3, "a"), token(4, 5, "b", "stop_word")]
    assert call(page, "foundText", {"profile": "unicode", "words": {"a": 2}, "tokens": tokens}) == (
        "2 words, 1 different, 1 left out. Profile unicode."
    )


def words(**counts):
    return [{"word": word, "count": count} for word, count in counts.items()]


def test_suggestions_begin_with_the_exact_word_then_the_most_frequent(page):
    found = call(page, "suggestions", "Th", words(the=9, of=8, those=2, th=1), words(th=1, that=5, thaw=1))
    assert [one["word"] for one in found] == ["th", "the", "that", "those", "thaw"]
    many = call(page, "suggestions", "w", [], words(**{f"w{number}": number + 1 for number in range(20)}))
    assert (len(many), many[0]["word"]) == (8, "w19")


def size(name, seconds, newest="2026-01-01T00:00:00Z"):
    return {"size": name, "size_seconds": seconds, "advance_seconds": seconds, "newest_closed": newest}


def test_without_a_final_window_there_is_no_choice(page):
    assert [one["label"] for one in call(page, "choicesOf", [])] == ["All time"]
    assert [one["label"] for one in call(page, "choicesOf", [size("1m", 60, None)])] == ["All time"]


def test_windows_and_trends_can_be_chosen(page):
    found = call(page, "choicesOf", [size("1m", 60), size("1h/5m", 3600), size("1d", 86_400, None)])
    assert [(one["label"], one["query"]) for one in found] == [
        ("All time", "top=20"),
        ("Minute", "window=1m&top=20"),
        ("1h/5m", "window=1h%2F5m&top=20"),
        ("Trending", "trending&window=1m&top=20"),
    ]


def test_bars_are_as_long_as_counts_and_for_trends_as_scores(page):
    rows = call(page, "rowsOf", {"words": words(the=10, fox=5)})
    assert [(one["share"], one["hint"]) for one in rows] == [(1, ""), (0.5, "")]
    trending = [
        {"word": "a", "count": 8, "baseline": 2, "score": 4},
        {"word": "b", "count": 20, "baseline": 0, "score": 2},
    ]
    rows = call(page, "rowsOf", {"words": trending})
    assert [(one["share"], one["hint"]) for one in rows] == [(1, "4 × as often"), (0.5, "new")]


def test_what_is_not_proven_or_held_back_is_said(page):
    choice = {"key": "all"}
    said = call(page, "noteOf", {"words": words(a=1), "exact": False, "max_error": 123}, choice)
    assert said.endswith("Not proven: another word may occur 123 times more often than the last one.")
    window = {
        "start": "2026-01-01T00:05:00Z",
        "end": "2026-01-01T00:06:00Z",
        "final": True,
        "held_back_by": {"3": None, "4": None},
    }
    said = call(page, "noteOf", {"words": [], "exact": True, **window}, {"key": "1m", "seconds": 60})
    assert ", final. Partitions 3, 4 hold newer ones back. No word yet." in said


def test_nothing_is_asked_for_again_before_it_was_answered_nor_before_its_time():
    page = Engine("poll.js", "api.js")
    page.run("""
      const shown = [];
      const poll = new Poll(1000, () => ask("v1/stats"), (answer) => shown.push(answer.status));
      poll.start();
    """)
    asked = "requests.length"
    page.wait(30)
    assert page.run(asked) == 1
    page.run("respond(requests.at(-1), 200, '{}', null)")
    page.wait(0.9)
    assert page.run(asked) == 1
    page.wait(0.2)
    page.run("respond(requests.at(-1), 503, '{}', 3)")
    page.wait(2.9)
    assert page.run(asked) == 2
    page.wait(0.2)
    assert (page.run(asked), page.run("shown")) == (3, [200, 503])
    page.run("poll.stop(); respond(requests.at(-1), 200, '{}', null)")
    page.wait(60)
    assert (page.run(asked), page.run("shown")) == (3, [200, 503])
    page.run("poll.start(); poll.now()")
    assert page.run(asked) == 5


def test_an_answer_of_something_between_is_a_problem_and_no_failure():
    page = Engine("api.js")
    page.run(
        "const told = []; ask('v1/stats').then(({ ok, status, body }) => told.push([ok, status, problemText(body)]))"
    )
    page.run("respond(requests.at(-1), 502, '<html>Bad Gateway', null)")
    page.run("ask('v1/stats').then(({ ok, status, body }) => told.push([ok, status, problemText(body)]))")
    page.run("requests.at(-1).reject(new Error('refused'))")
    assert page.run("told") == [
        [False, 502, "No whole answer (status 502): it breaks off, or is no JSON."],
        [False, 0, "No answer: the connection failed."],
    ]
