"""Positions from which counting can go on, and positions that stop a partition until an operator decides."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import msgspec
import pytest

from tables.errors import InexactError
from tables.model.positions import (
    InputNow,
    can_catch_up_from,
    check_position,
    check_replaceable,
    check_windows,
)
from tables.model.rows import Marker, Owner, StoreState
from tables.model.windows import SizeRule, WindowRules, begun

MARKER = Marker(
    topic="texts",
    group="readers",
    topic_id="T",
    changelog_id="C",
    profile="whitespace/1",
    origin=10,
    position=100,
    records=90,
)
STATE = StoreState(marker=MARKER, examined=50, max_upto=100)


INPUT_FIELDS = {"topic", "topic_id", "start", "end"}


def input_now(**found: Any) -> InputNow:
    return InputNow(**{"topic": "texts", "topic_id": "T", "partition": 3, "start": 10, "end": 200, **found})


def position_problem(marker: Marker = MARKER, **found: Any) -> str:
    """What is said where the input has [10, 200); "" = nothing."""
    configured = {
        "topic": "texts",
        "group": "readers",
        "profile": "whitespace/1",
        "changelog_id": "C",
        **found,
    }
    now = input_now(**{name: value for name, value in found.items() if name in INPUT_FIELDS})
    owner = Owner(configured["group"], configured["topic"])
    try:
        check_position(
            marker,
            now,
            owner=owner,
            changelog_id=configured["changelog_id"],
            profile=configured["profile"],
        )
    except InexactError as error:
        return str(error)
    return ""


def replacing_problem(state: StoreState = STATE, **found: Any) -> str:
    """What is said where the changelog is empty and the input has everything."""
    now = input_now(**{name: found.pop(name) for name in INPUT_FIELDS & found.keys()})
    try:
        check_replaceable(state, now, **{"changelog_id": "D", "changelog_end": 0, **found})
    except InexactError as error:
        return str(error)
    return ""


def test_a_position_within_what_the_input_has_is_fine() -> None:
    assert position_problem() == ""
    assert position_problem(start=100) == ""
    assert position_problem(end=100) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"start": 101}, "texts partition 3: records 100 to 100 expired"),
        ({"end": 99}, "texts partition 3 ends at offset 99, but 100 was next"),
        ({"topic_id": "U"}, "texts partition 3: the topic was deleted and created again (id T, now U)"),
        ({"changelog_id": "D"}, "texts partition 3: a worker that counted up to 100 wrote to the changelog"),
        ({"profile": "unicode/1"}, "counted with profile whitespace/1, now configured: unicode/1"),
        (
            {"topic": "other"},
            "holds counts of topic texts in group readers, not only of other in group readers",
        ),
        (
            {"group": "others"},
            "holds counts of topic texts in group readers, not only of texts in group others",
        ),
    ],
)
def test_anything_else_is_said_with_a_remedy(found: dict[str, Any], said: str) -> None:
    problem = position_problem(**found)
    assert said in problem
    assert "wordcount reset" in problem or "another WORDCOUNT_GROUP" in problem


def test_an_id_that_is_not_known_proves_nothing() -> None:
    assert position_problem(topic_id="", changelog_id="") == ""
    assert position_problem(msgspec.structs.replace(MARKER, topic_id="", changelog_id="")) == ""


def test_a_marker_from_before_they_named_their_group_is_of_whoever_has_its_topic() -> None:
    nameless = msgspec.structs.replace(MARKER, group="")
    assert position_problem(nameless) == ""
    assert "holds counts of topic texts, not only of other" in position_problem(nameless, topic="other")


def test_rows_of_a_restore_that_was_cut_short_are_of_the_changelog_that_they_were_read_from() -> None:
    state = StoreState(marker=None, examined=50, max_upto=100, changelog_id="C")
    assert can_catch_up_from(state, "C", 60)
    assert not can_catch_up_from(state, "D", 60)


@pytest.mark.parametrize(
    ("changelog_id", "changelog_end", "expected"),
    [("C", 50, True), ("C", 51, True), ("C", 49, False), ("D", 60, False), ("", 60, True), ("", 0, False)],
)
def test_a_store_is_of_a_changelog_with_its_id_that_reaches_it(
    changelog_id: str, changelog_end: int, expected: bool
) -> None:
    assert can_catch_up_from(STATE, changelog_id, changelog_end) is expected


def test_an_empty_store_is_of_every_changelog() -> None:
    assert can_catch_up_from(StoreState(marker=None, examined=0, max_upto=0), "D", 0)


def test_a_store_can_be_replaced_where_the_input_has_everything_or_the_new_changelog_has_begun() -> None:
    assert replacing_problem() == ""
    assert replacing_problem(changelog_end=5, start=90) == ""
    assert replacing_problem(StoreState(marker=None, examined=5, max_upto=0)) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"start": 11}, "the changelog is empty, but was read up to 50"),
        ({"topic_id": "U"}, "the topic was deleted and created again"),
        ({"changelog_id": "C", "changelog_end": 49}, "ends at offset 49, but was read up to 50: truncated"),
        ({"changelog_id": "", "changelog_end": 49}, "truncated"),
    ],
)
def test_a_store_that_is_all_there_is_is_not_replaced(found: dict[str, Any], said: str) -> None:
    problem = replacing_problem(**found)
    assert problem.startswith("texts partition 3")
    assert said in problem
    assert "wordcount reset" in problem


MINUTE, HOUR = SizeRule(60, 0, 600), SizeRule(3600, 0, 7200)


@pytest.mark.parametrize(
    ("rules", "dropped", "said"),
    [
        (WindowRules((MINUTE, HOUR)), [], ""),
        (WindowRules((MINUTE, HOUR, SizeRule(7200, 0, 7200))), [], ""),
        (WindowRules((SizeRule(60, 5, 300), HOUR)), [], ""),
        (WindowRules((MINUTE,)), [60], "add them to WORDCOUNT_WINDOWS; .*WORDCOUNT_DROP_WINDOWS=1h"),
        (WindowRules((MINUTE,)), [3600], ""),
        (WindowRules(), [3600], "beginnings are 1m apart"),
        (WindowRules(), [], "beginnings are 1m,1h apart"),
        (WindowRules(), [60, 3600], ""),
        (WindowRules((MINUTE, HOUR), time_source="/at"), [60], "WORDCOUNT_TIMESTAMP is /at.*DROP_WINDOWS=1h"),
        (WindowRules((MINUTE, HOUR), time_source="/at"), [60, 3600], ""),
    ],
)
def test_counts_of_windows_are_removed_only_if_that_is_wanted(
    rules: WindowRules, dropped: list[int], said: str
) -> None:
    windows = begun(WindowRules((MINUTE, HOUR)), 0)
    expected = pytest.raises(InexactError, match=f"texts partition 3 has .*{said}") if said else nullcontext()
    with expected:
        check_windows(windows, rules, frozenset(dropped), input_now())
    check_windows(None, rules, frozenset(dropped), input_now())
