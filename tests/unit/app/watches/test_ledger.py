"""The ledger: what a worker knows of watches, and what the next one knows by the records."""

from __future__ import annotations

import pytest

from app.watches import ledger as ledger_module
from app.watches.crossing import Crossing, crossing_id
from app.watches.ledger import RETIRED_S, Ledger
from tests.fakes.watches import START_S, watch

NOW_S = START_S + 1_000


def crossing(word: str = "alarm", start_s: int | None = START_S) -> Crossing:
    return Crossing(word, 3, start_s, {0: 7}, NOW_S)


class Topic:
    """The compacted topic: the last value of each key."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def write(self, ledger: Ledger) -> None:
        records = ledger.unwritten(1_000)
        for key, value in records.items():
            self.records.pop(key, None)
            if value is not None:
                self.records[key] = value
        ledger.written(records)

    def next_ledger(self, *watches, now_s: int = NOW_S) -> Ledger:
        ledger = Ledger(watches or (watch(),))
        ledger.load(self.records, now_s)
        return ledger


def page_of(ledger: Ledger):
    (page,) = ledger.pages.values()
    return page


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger([watch()])


def test_a_crossing_is_found_once(ledger, topic):
    page = page_of(ledger)
    assert ledger.found(page, [crossing(), crossing()], 10) == (1, 0)
    assert ledger.found(page, [crossing()], 10) == (0, 0)
    topic.write(ledger)
    after = topic.next_ledger()
    assert after.found(page_of(after), [crossing()], 10) == (0, 0)
    assert list(page_of(after).waiting.values()) == [crossing()]


def test_what_waits_keeps_its_order_over_a_restart(ledger, topic):
    words = ["c", "a", "b"]
    ledger.found(page_of(ledger), [crossing(word) for word in words], 10)
    topic.write(ledger)
    assert [one.word for one in page_of(topic.next_ledger()).waiting.values()] == words


@pytest.mark.parametrize("state", ["delivered", "given_up"])
def test_what_is_settled_waits_no_more_and_is_not_found_again(ledger, topic, state):
    page = page_of(ledger)
    ledger.found(page, [crossing()], 10)
    ledger.settle(page, crossing_id(page.watch, "alarm", START_S), state, NOW_S)
    topic.write(ledger)
    for known in (ledger, topic.next_ledger()):
        assert page_of(known).waiting == {}
        assert known.found(page_of(known), [crossing()], 10) == (0, 0)
        assert [one.state for one in known.recent.values()] == [state]


def test_crossings_of_windows_that_are_left_behind_are_forgotten_when_they_wait_no_more(ledger, topic):
    page = page_of(ledger)
    ledger.found(page, [crossing("a"), crossing("b"), crossing("a", START_S + 60)], 10)
    ledger.settle(page, crossing_id(page.watch, "a", START_S), "delivered", NOW_S)
    ledger.look_from(page, START_S + 60, NOW_S)
    topic.write(ledger)
    assert len(topic.records) == 3  # From where on, one that waits, one of a window that is looked at.
    assert page_of(topic.next_ledger()).since_s == START_S + 60
    ledger.settle(page, crossing_id(page.watch, "b", START_S), "delivered", NOW_S)
    topic.write(ledger)
    assert len(topic.records) == 2
    assert list(page.known) == [START_S + 60]


def test_the_record_of_a_crossing_comes_before_the_one_that_leaves_its_window_behind(ledger):
    page = page_of(ledger)
    ledger.look_from(page, START_S, NOW_S)
    ledger.found(page, [crossing()], 10)
    ledger.look_from(page, START_S + 60, NOW_S)
    assert [key.partition(b":")[0] for key in ledger.unwritten(10)] == [b"crossing", b"watch"]


def test_a_total_is_remembered_for_ever(topic):
    total = watch(window=None)
    ledger = Ledger([total])
    ledger.found(page_of(ledger), [crossing(start_s=None)], 10)
    ledger.settle(page_of(ledger), crossing_id(total, "alarm", None), "delivered", NOW_S)
    topic.write(ledger)
    after = topic.next_ledger(total, now_s=NOW_S + 100 * RETIRED_S)
    assert after.found(page_of(after), [crossing(start_s=None)], 10) == (0, 0)


def test_crossings_of_one_window_are_bounded_and_the_rest_is_counted(ledger):
    page = page_of(ledger)
    words = [crossing(f"w{number}") for number in range(5)]
    assert ledger.found(page, words, 3) == (3, 2)
    assert ledger.found(page, words, 3) == (0, 2)
    assert ledger.found(page, [crossing("w0", START_S + 60)], 3) == (1, 0)


def test_crossings_of_a_watch_are_bounded(ledger, monkeypatch):
    monkeypatch.setattr(ledger_module, "MOST_KNOWN", 4)
    found = [crossing(start_s=START_S + 60 * number) for number in range(6)]
    assert ledger.found(page_of(ledger), found, 3) == (4, 2)


def test_a_changed_watch_begins_anew_and_its_former_records_go_after_a_week(ledger, topic):
    page = page_of(ledger)
    ledger.found(page, [crossing()], 10)
    ledger.look_from(page, START_S, NOW_S)
    topic.write(ledger)
    changed = topic.next_ledger(watch(above=5))
    assert (page_of(changed).since_s, page_of(changed).waiting, changed.unwritten(10)) == (None, {}, {})
    later = topic.next_ledger(watch(above=5), now_s=NOW_S + RETIRED_S + 1)
    topic.write(later)
    assert topic.records == {}


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"\xff", b'{"type":"watch","watch":"x","since_s":1,"changed_s":0,"format":2}']
)
def test_records_that_cannot_be_read_are_left_alone(topic, value):
    topic.records[b"watch:x"] = value
    ledger = topic.next_ledger(now_s=NOW_S + 10 * RETIRED_S)
    assert ledger.unwritten(10) == {}


def test_what_changed_while_it_was_written_is_written_again(ledger):
    page = page_of(ledger)
    ledger.found(page, [crossing()], 10)
    records = ledger.unwritten(10)
    ledger.settle(page, crossing_id(page.watch, "alarm", START_S), "delivered", NOW_S)
    ledger.written(records)
    assert len(ledger.unwritten(10)) == 1
