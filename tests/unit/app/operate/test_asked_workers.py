import pytest

from agents.source.group_map import Card
from app.config.settings import Settings
from app.kafka import group_members
from app.kafka.group_members import GroupMember
from app.operate import asked_workers
from app.operate.asked_workers import MOST_NAMED, AskedWorkers
from tables.errors import (
    BadRequestError,
    BrokerUnavailableError,
    ConfigurationError,
    NotReadyError,
    WordcountError,
)

SETTINGS = Settings(group="g", http_port=80)
HERE = "http://127.0.0.1:80"


class Group:
    """The group and its workers: where they are asked, and what a worker that does not answer says."""

    def __init__(self):
        self.members = []
        self.looked_up = 0
        self.error = None
        self.silent = {}
        self.asked = []

    def have(self, *urls):
        self.members = [
            GroupMember(f"wordcount at {url}", None if url is None else Card(url)) for url in urls
        ]

    async def find(self, settings):
        assert settings.group == "g"
        self.looked_up += 1
        if self.error is not None:
            raise self.error
        return self.members

    def question(self, worker):
        self.asked.append(worker.url)
        if worker.url in self.silent:
            raise self.silent[worker.url]
        return f"answer of {worker.url}"


@pytest.fixture
def group(monkeypatch):
    found = Group()
    monkeypatch.setattr(group_members, "find_members", found.find)
    monkeypatch.setattr("random.sample", lambda urls, count: urls[:count])
    return found


def refused(workers, group, kind):
    with pytest.raises(WordcountError) as raised:
        workers.ask(group.question)
    assert type(raised.value) is kind
    return str(raised.value)


def test_a_worker_of_the_group_is_asked(group):
    group.have("http://a")
    workers = AskedWorkers(SETTINGS)
    assert (workers.ask(group.question), workers.answered) == ("answer of http://a", "http://a")


def test_a_named_worker_is_asked_and_no_broker(group):
    group.have("http://a")
    group.silent = {"http://b": NotReadyError("busy", "wait")}
    assert refused(AskedWorkers(SETTINGS, "http://b"), group, NotReadyError) == "busy; wait"
    assert (group.asked, group.looked_up) == (["http://b"], 0)


@pytest.mark.parametrize("kind", [NotReadyError, WordcountError, ConfigurationError])
def test_a_worker_that_does_not_answer_is_passed_over_and_asked_last_from_then_on(group, kind):
    group.have("http://a", "http://b", "http://c")
    group.silent = {"http://a": kind("a does not answer")}
    workers = AskedWorkers(SETTINGS)
    for _ in range(2):
        assert workers.ask(group.question) == "answer of http://b"
    assert (group.asked, group.looked_up) == (["http://a", "http://b", "http://b"], 1)
    group.silent["http://b"] = WordcountError("b is gone")
    assert workers.ask(group.question) == "answer of http://c"


def test_a_question_that_is_wrong_is_asked_once(group):
    group.have("http://a", "http://b")
    group.silent = {"http://a": BadRequestError("no")}
    assert refused(AskedWorkers(SETTINGS), group, BadRequestError) == "no"
    assert group.asked == ["http://a"]


@pytest.mark.parametrize(
    ("errors", "kind", "remedy"),
    [
        (
            [WordcountError("A", "start"), NotReadyError("B", "wait")],
            NotReadyError,
            "ask again in a moment, or",
        ),
        ([WordcountError("A", "start"), WordcountError("B", "start")], WordcountError, "start"),
        (
            [ConfigurationError("A", "set it"), ConfigurationError("B", "set it")],
            ConfigurationError,
            "set it",
        ),
        (
            [WordcountError("A"), ConfigurationError("B", "set it")],
            WordcountError,
            "ask again in a moment, or",
        ),
    ],
)
def test_what_each_worker_said_is_told_where_none_answers(group, errors, kind, remedy):
    group.have("http://a", "http://b")
    group.silent = dict(zip(("http://a", "http://b"), errors, strict=True))
    said = refused(AskedWorkers(SETTINGS), group, kind)
    assert said.startswith(f"none of the 2 workers of group g answers: A; B; {remedy}")


def test_of_many_workers_that_do_not_answer_few_are_named(group):
    urls = [f"http://{number}" for number in range(8)]
    group.have(*urls)
    group.silent = {url: WordcountError(f"{url} is gone") for url in urls}
    said = refused(AskedWorkers(SETTINGS), group, WordcountError)
    assert said.count(" is gone") == MOST_NAMED
    assert "; and 3 more" in said


def test_workers_are_not_asked_for_ever(group, monkeypatch):
    monkeypatch.setattr(asked_workers, "LONGEST_S", -1)
    group.have("http://a", "http://b", "http://c")
    group.silent = {"http://a": WordcountError("a is gone")}
    assert "none of the 3 workers of group g answers: a is gone; and 2 more" in refused(
        AskedWorkers(SETTINGS), group, WordcountError
    )


def test_the_group_is_looked_up_again_after_nobody_answered(group):
    group.have("http://a")
    group.silent = {"http://a": WordcountError("a is gone")}
    workers = AskedWorkers(SETTINGS)
    refused(workers, group, WordcountError)
    group.have("http://b")
    assert workers.ask(group.question) == "answer of http://b"


@pytest.mark.parametrize(
    ("members", "error", "reason"),
    [
        ([], None, "group g has no members"),
        ([None, ""], None, "none of the 2 members of group g tells where it is asked"),
        ([], BrokerUnavailableError("no broker answers", "start one"), "no broker answers"),
        ([], ConfigurationError("no right to Describe", "grant it"), "no right to Describe"),
    ],
)
def test_without_workers_of_the_group_the_one_of_this_machine_is_asked(group, members, error, reason):
    group.have(*members)
    group.error = error
    assert AskedWorkers(SETTINGS).ask(group.question) == f"answer of {HERE}"
    group.silent = {HERE: NotReadyError("it is busy", "wait")}
    said = refused(AskedWorkers(SETTINGS), group, NotReadyError)
    assert said == f"it is busy (asked here, because the workers of the group were not found: {reason}); wait"


def test_where_no_worker_is_known_at_all_both_reasons_are_told(group):
    said = refused(AskedWorkers(Settings(group="g", http_port=0)), group, ConfigurationError)
    assert "WORDCOUNT_HTTP_PORT is 0, so the worker's port is not known (asked here, because" in said
    assert "group g has no members); give --url" in said
