"""The page's tables of workers and partitions, and who answered."""

import re

from tests.unit.app.web.resources.page_answers import (
    ALONE,
    ASSIGNMENTS,
    BUSY,
    SOME_STATS,
    STATS,
    counted,
    followed,
    page_of,
    worker,
)


def test_all_partitions_are_shown_with_their_workers_and_followers(browser):
    gone = "http://10.0.0.3:80 cannot be reached"
    workers = [
        worker(1, {"10": counted(), "2": counted("restoring", None, None, 0.456)}, {"1": followed()}),
        worker(
            2, {"1": counted("stopped", 3, 4, 1.0, "records expired")}, {"2": followed("restoring", 0.999)}
        ),
        worker(3, {"0": None}, {"10": None, "4": followed("stopped", 1.0, "foreign records")}, gone, ""),
    ]
    browser.answer(ASSIGNMENTS, {"generation": 5, "partitions": 4, "workers": workers})
    here = "10.0.0.1:80 (this one)"
    assert browser.rows("workers") == [
        [here, "1.2.3", "2", "1"],
        ["10.0.0.2:80", "1.2.3", "1", "1"],
        ["10.0.0.3:80", f"does not answer: {gone}", "1", "2"],
    ]
    assert browser.rows("partitions") == [
        ["0", "10.0.0.3:80", "not known", "–", "–"],
        ["1", "10.0.0.2:80", "stopped: records expired", "3", "4"],
        ["1", here, "following", "6", "30 records, 0.3 s"],
        ["2", here, "restoring, 45%", "–", "–"],
        ["2", "10.0.0.2:80", "following, restoring, 99%", "6", "30 records, 0.3 s"],
        ["3", "nobody", "waits for a worker", "–", "–"],
        ["4", "10.0.0.3:80", "following, stopped: foreign records", "6", "30 records, 0.3 s"],
        ["10", here, "counting", "7", "2"],
        ["10", "10.0.0.3:80", "following, not known", "–", "–"],
    ]
    assert browser.classes("workers") == ["", "", "bad"]
    assert browser.classes("partitions") == ["bad", "bad", "", "", "", "bad", "bad", "", "bad"]
    assert browser.text("whose") == "Answered by http://10.0.0.1:80, one of 3 workers."
    browser.wait(1)
    browser.answer(ASSIGNMENTS, ALONE)
    assert browser.rows("partitions") == [["0", here, "counting", "7", "2"]]
    assert browser.classes("partitions") == [""]
    assert browser.text("whose") == "Answered by http://10.0.0.1:80, the only worker."
    browser.wait(1)
    browser.answer(ASSIGNMENTS, BUSY, 503)
    assert browser.text("workers-note") == "Busy: 8 are waiting."
    assert browser.rows("partitions") == [["0", here, "counting", "7", "2"]]


def test_a_partition_that_begins_to_answer_is_not_taken_for_speed(browser):
    browser.answer(STATS, SOME_STATS)
    for words, as_of, rate in (
        (108, {"0": 8}, "100"),
        (1_000_000, {"0": 9, "1": 5}, "–"),
        (1_000_030, {"0": 9, "1": 6}, "30"),
    ):
        browser.wait(1)
        browser.answer(STATS, {**SOME_STATS, "words": words, "as_of": as_of})
        assert browser.text("rate") == rate


def test_partitions_that_followers_answered_for_are_named_with_how_far_these_are_behind(browser):
    behind = {"2": {"records": 7, "seconds": 0.5}, "5": {"records": 3, "seconds": 1.25}}
    served_by = {"0": "active", "2": "standby", "5": "standby"}
    browser.answer(STATS, {**SOME_STATS, "behind": behind, "served_by": served_by})
    said = "Followers answered for partitions 2, 5: up to 7 records and 1.3 s behind."
    assert browser.text("whose") == said
    browser.answer(ASSIGNMENTS, ALONE)
    assert browser.text("whose") == f"Answered by http://10.0.0.1:80, the only worker. {said}"


def test_a_worker_without_a_map_of_the_group_shows_its_own_partitions(browser):
    nameless = {**worker(1, {"0": counted()}), "url": ""}
    browser.answer(ASSIGNMENTS, {"generation": None, "partitions": None, "workers": [nameless]})
    assert browser.rows("partitions") == [["0", "address not known (this one)", "counting", "7", "2"]]
    assert browser.text("whose") == ""


def view_of(followers, partitions):
    this = {**worker(1, {}, followers), "url": ""}
    return {"generation": None, "partitions": partitions, "workers": [this]}


def test_a_view_shows_its_followers_and_nobody_else(browser):
    followers = {
        "0": followed(),
        "2": followed("restoring", 0.456),
        "10": followed("stopped", 1.0, "records expired"),
    }
    browser.answer(ASSIGNMENTS, view_of(followers, 2))
    assert browser.rows("workers") == [["this view", "1.2.3", "0", "3"]]
    behind = ["6", "30 records, 0.3 s"]
    assert browser.rows("partitions") == [
        ["0", "followed by this view", "following", *behind],
        ["1", "nobody", "waits for a follower", "–", "–"],
        ["2", "followed by this view", "restoring, 45%", *behind],
        ["10", "followed by this view", "stopped: records expired", *behind],
    ]
    assert browser.classes("partitions") == ["", "bad", "", "bad"]
    whose = "Answered by a view, which follows the workers and counts nothing itself."
    assert browser.text("whose") == whose
    behind_by = {"0": {"records": 7, "seconds": 0.5}}
    browser.answer(STATS, {**SOME_STATS, "behind": behind_by, "served_by": {"0": "view"}})
    assert browser.text("whose") == f"{whose} It answered for partitions 0: up to 7 records and 0.5 s behind."


def test_a_worker_that_waits_for_its_partitions_is_not_taken_for_a_view(browser):
    browser.answer(ASSIGNMENTS, view_of({}, 2))
    assert browser.rows("partitions") == [
        [number, "nobody", "waits for a worker", "–", "–"] for number in ("0", "1")
    ]
    assert browser.text("whose") == ""


def test_records_still_to_read_are_shown_only_where_all_partitions_tell_their_number(browser):
    lags = {"0": {"lag_records": 2}, "1": {"lag_records": 3}}
    followers = {**lags, "1": {"lag_records": None}}
    as_of = {"0": 7, "1": 8}
    for partitions, complete, shown in (
        (lags, True, "5"),
        (lags, False, "–"),
        (followers, True, "–"),
        ({"0": lags["0"]}, True, "–"),
        ({}, True, "–"),
    ):
        browser.answer(STATS, {**SOME_STATS, "as_of": as_of, "partitions": partitions, "complete": complete})
        assert browser.text("lag") == shown
        browser.wait(1)


def test_of_very_many_partitions_the_first_are_shown(browser):
    active = {str(number): counted() for number in range(1200)}
    browser.answer(ASSIGNMENTS, {"generation": 1, "partitions": 1200, "workers": [worker(1, active)]})
    assert len(browser.rows("partitions")) == 1000
    assert browser.text("partitions-note") == "The first 1000 of 1200 lines."


async def test_a_table_that_is_scrolled_can_be_reached_by_keyboard_and_has_a_name(client):
    page = (await page_of(client)).text
    scrolled = re.findall('<div class="wide"([^>]*)>', page)
    assert len(scrolled) == 2
    for attributes in scrolled:
        assert re.fullmatch(' role="region" aria-labelledby="[a-z-]+" tabindex="0"', attributes)
