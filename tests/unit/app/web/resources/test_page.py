import base64
import hashlib
import re

import pytest

from tests.unit.app.web.resources.page_answers import (
    ALONE,
    ASSIGNMENTS,
    BUSY,
    IS_READY,
    READY,
    SOME_STATS,
    SOME_TOP,
    STATS,
    TOP,
    page_of,
)


async def test_the_page_loads_nothing_from_elsewhere(client):
    page = (await page_of(client)).text
    assert not re.search(r"https?:|//[a-z0-9.-]+\.[a-z]{2,}|@import|url\(", page, re.IGNORECASE)
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,", "openapi.json", "metrics"]


async def test_the_policy_allows_this_script_and_style_and_nothing_else(client):
    reply = await page_of(client)
    policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for element in ("script", "style"):
        (content,) = re.findall(f"<{element}[^>]*>(.*?)</{element}>", reply.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{element}-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in reply.headers["content-security-policy"]


async def test_no_inline_handler_or_style_that_the_policy_would_block(client):
    markup = re.sub(r"<(script|style)>.*?</\1>", "", (await page_of(client)).text, flags=re.DOTALL)
    assert not re.search(r"\s(on[a-z]+|style)=", markup)


async def test_words_reach_the_page_as_text_only(client):
    page = (await page_of(client)).text
    assert "textContent" in page
    for markup_sink in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
    ):
        assert markup_sink not in page


async def test_words_that_look_like_markup_are_answered_as_json_that_no_browser_sniffs(client, queries):
    queries.counts = {"<script>alert(1)</script>": 1}
    reply = await client.get("/v1/top")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.json()["words"][0]["word"] == "<script>alert(1)</script>"


async def test_the_page_names_its_parts_for_assistive_technology(client):
    page = (await page_of(client)).text
    assert '<html lang="en">' in page
    assert 'role="status"' in page
    assert '<label for="prefix">' in page
    for section in re.findall(r'<section aria-labelledby="([^"]+)"', page):
        assert f'id="{section}"' in page
    assert "color-scheme: light dark" in page


async def test_every_element_that_the_script_looks_for_exists(client):
    page = (await page_of(client)).text
    for name in set(re.findall(r'byId\("([^"]+)"\)', page)):
        assert f'id="{name}"' in page


def test_everything_is_asked_for_at_once(browser):
    assert sorted(browser.asked()) == [READY, ASSIGNMENTS, STATS, TOP]
    assert browser.text("top-note") == ""


def test_what_is_there_is_shown_while_the_slowest_is_awaited(browser):
    browser.answer(STATS, SOME_STATS)
    assert (browser.text("words"), browser.text("lag")) == ("8", "2")
    browser.answer(ASSIGNMENTS, ALONE)
    assert browser.rows("partitions") == [["0", "10.0.0.1:80 (this one)", "counting", "7", "2"]]
    browser.answer(READY, IS_READY)
    assert browser.text("status") == "Ready. Counts are complete and durable."
    assert browser.asked() == [TOP]
    browser.wait(1)
    browser.answer(STATS, {**SOME_STATS, "words": 9})
    assert browser.text("words") == "9"
    browser.answer(TOP, SOME_TOP)
    assert browser.rows("top") == [["the", "5"]]


def test_nothing_is_asked_for_again_before_it_was_answered_and_a_second_has_passed(browser):
    for _ in range(4):
        browser.wait(1)
        assert sorted(browser.asked()) == [READY, ASSIGNMENTS, STATS, TOP]
    browser.answer(TOP, SOME_TOP)
    browser.wait(0.9)
    assert TOP not in browser.asked()
    browser.wait(0.2)
    assert browser.asked().count(TOP) == 1


def test_a_request_is_given_up_after_5_s_and_made_again(browser):
    browser.answer(READY, IS_READY)
    browser.answer(STATS, SOME_STATS)
    browser.answer(TOP, SOME_TOP)
    browser.wait(1)
    for _ in range(7):
        for path in (READY, STATS):
            if path in browser.asked():
                browser.answer(path, IS_READY if path == READY else SOME_STATS)
        browser.wait(0.75)
    assert browser.text("top-note") == "No answer within 5 s; trying again."
    assert browser.text("status") == "Ready, but: No answer within 5 s; trying again."
    assert browser.rows("top") == [["the", "5"]]
    browser.wait(1)
    assert browser.asked().count(TOP) == 1


def test_a_busy_service_keeps_what_is_shown_and_is_asked_again_when_it_says(browser):
    browser.answer(READY, IS_READY)
    browser.answer(STATS, SOME_STATS)
    browser.answer(TOP, SOME_TOP)
    browser.wait(1)
    browser.answer(TOP, BUSY, 503, retry_after=3)
    assert browser.text("top-note") == "Busy: 8 are waiting."
    assert browser.text("status") == "Ready, but: Busy: 8 are waiting."
    assert browser.rows("top") == [["the", "5"]]
    browser.wait(2.9)
    assert TOP not in browser.asked()
    browser.wait(0.2)
    browser.answer(TOP, SOME_TOP)
    assert browser.text("top-note") == ""


def test_without_any_answer_the_page_says_so_and_goes_on(browser):
    browser.wait(6)
    assert browser.text("status") == "No answer from the service; trying again."
    browser.wait(1)
    assert sorted(browser.asked()) == [READY, ASSIGNMENTS, STATS, TOP]


@pytest.mark.parametrize("path", [READY, ASSIGNMENTS, STATS, TOP])
def test_an_answer_of_something_between_is_no_failure_of_the_page(browser, path):
    browser.refuse(path, "<html>Bad Gateway")
    browser.wait(2)
    assert browser.asked().count(path) == 1
    browser.answer(path, BUSY, 503)
    assert "failed" not in browser.text("status")


def test_what_is_not_ready_or_not_complete_is_named(browser):
    checks = {"restored": {"ok": False, "detail": "restoring: 2"}}
    browser.answer(READY, {"status": "not_ready", "checks": checks}, 503)
    assert browser.text("status") == "Not ready: restored (restoring: 2)."
    browser.wait(1)
    browser.answer(READY, IS_READY)
    browser.answer(STATS, {**SOME_STATS, "complete": False, "missing_partitions": [3]})
    assert browser.text("status") == "Ready, but not all partitions answer; missing: 3."


def test_a_search_waits_for_the_former_one_and_shows_the_last(browser):
    browser.type("prefix", "Th")
    browser.wait(0.2)
    (asked,) = [path for path in browser.asked() if "prefix" in path]
    browser.type("prefix", "Fo")
    browser.wait(0.2)
    assert [path for path in browser.asked() if "prefix" in path] == [asked]
    browser.answer(asked, SOME_TOP)
    assert browser.rows("found") == []
    browser.wait(0)
    (asked,) = [path for path in browser.asked() if "prefix" in path]
    assert asked.endswith("prefix=Fo")
    browser.answer(asked, {**SOME_TOP, "words": []})
    (lower,) = [path for path in browser.asked() if "prefix" in path]
    assert lower.endswith("prefix=fo")
    browser.answer(lower, {**SOME_TOP, "words": [{"word": "fox", "count": 2}]})
    assert browser.rows("found") == [["fox", "2"]]
    assert browser.text("found-note") == "All 1."
    browser.wait(1)
    (asked,) = [path for path in browser.asked() if "prefix" in path]
    browser.answer(asked, BUSY, 503)
    assert (browser.rows("found"), browser.text("found-note")) == ([["fox", "2"]], "Busy: 8 are waiting.")


def test_words_that_are_not_proven_to_be_the_top_are_said_to_be_so(browser):
    browser.answer(READY, IS_READY)
    browser.answer(STATS, SOME_STATS)
    browser.answer(TOP, {**SOME_TOP, "exact": False, "max_error": 123})
    assert (
        browser.text("top-note")
        == "Not proven: another word may occur 123 times more often than the last one."
    )
    browser.wait(1)
    browser.answer(TOP, SOME_TOP)
    assert browser.text("top-note") == ""


def test_a_page_that_nobody_looks_at_asks_nothing(browser):
    browser.hide(True)
    browser.answer(READY, IS_READY)
    browser.answer(STATS, SOME_STATS)
    browser.answer(TOP, SOME_TOP)
    browser.answer(ASSIGNMENTS, ALONE)
    browser.wait(60)
    assert browser.asked() == []
    browser.hide(False)
    assert sorted(browser.asked()) == [READY, ASSIGNMENTS, STATS, TOP]


UNAUTHORIZED = {
    "type": "urn:problem-type:wordcount:unauthorized",
    "title": "A token is needed",
    "status": 401,
    "detail": "none was sent",
}


def test_a_page_asks_for_a_token_only_where_one_is_needed(browser):
    browser.answer(READY, IS_READY)
    browser.answer(STATS, SOME_STATS)
    assert (browser.hidden("access"), browser.hidden("metrics")) == (True, False)
    browser.answer(TOP, UNAUTHORIZED, 401)
    assert (browser.hidden("access"), browser.hidden("metrics")) == (False, True)
    assert browser.text("top-note") == "A token is needed: none was sent."
    assert browser.text("status") == "Ready, but: A token is needed: none was sent."


def test_a_token_that_was_entered_is_sent_as_a_header_and_kept_for_the_session_alone(browser):
    assert browser.tokens() == {None}
    browser.answer(READY, IS_READY)
    for path in (ASSIGNMENTS, STATS, TOP):
        browser.answer(path, UNAUTHORIZED, 401)
    browser.submit("access", "token", " secret-0123456789 ")
    browser.wait(0)
    assert sorted(browser.asked()) == [ASSIGNMENTS, STATS, TOP]
    assert browser.tokens() == {"Bearer secret-0123456789"}
    assert browser.value("token") == ""
    assert browser.kept() == {"token": "secret-0123456789"}
    browser.answer(STATS, SOME_STATS)
    browser.answer(TOP, SOME_TOP)
    assert (browser.hidden("access"), browser.hidden("metrics")) == (True, True)
    assert browser.text("status") == "Ready. Counts are complete and durable."
    browser.type("prefix", "th")
    browser.wait(2)
    assert browser.tokens() == {"Bearer secret-0123456789"}
    assert "secret" not in "".join(browser.asked())
