import asyncio

import pytest
from structlog.testing import capture_logs

from agents.source.group_map import GroupMap, Member
from app.bodies import ReadinessCheck
from app.reads.peers import OtherDeploymentError, PeerError
from app.reads.questions import WorkerStatus
from app.worker import own_address
from app.worker.own_address import REMEDY, OwnAddress

URL = "http://10.0.0.7:8080"
HERE = WorkerStatus("me", "1.2.3", {}, {})
OTHER = WorkerStatus("another", "1.2.3", {}, {})
LEADS_HERE = ReadinessCheck(True, f"{URL} leads here")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(own_address, "PAUSES_S", (0.0,))


class Asked:
    """What answers at the advertised URL, one answer after the other, and what the check says before each question."""

    def __init__(self, *answers, url=URL):
        self.answers = list(answers)
        self.seen = []
        self.map = None
        self.address = OwnAddress(lambda: url, "me", self.ask, lambda: self.map)

    async def ask(self, url, timeout_s):
        assert (url, timeout_s) == (URL, own_address.TIMEOUT_S)
        self.seen.append(self.address.check())
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def found(self):
        with capture_logs() as logged:
            await self.address.find()
        assert self.answers == []
        return [line for line in logged if line["log_level"] == "warning"]


async def test_a_worker_that_finds_itself_asks_once():
    asked = Asked(HERE)
    assert await asked.found() == []
    assert asked.seen == [ReadinessCheck(True, "not asked yet")]
    assert asked.address.check() == LEADS_HERE


async def test_an_address_at_which_nobody_answers_is_told_and_asked_again_and_no_reason_to_be_unready():
    nobody = PeerError(f"{URL} cannot be reached (Connection refused)")
    asked = Asked(nobody, nobody, nobody, HERE)
    (line,) = await asked.found()
    check = asked.seen[-1]
    assert check.ok
    assert check.detail == (
        f"nobody answers at {URL} as this worker does ({nobody}); other workers cannot ask this one: {REMEDY}"
    )
    assert "WORDCOUNT_ADVERTISED_URL" in check.detail
    assert (line["found"], line["remedy"]) == (check.detail, REMEDY)
    assert asked.address.check() == LEADS_HERE


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OTHER, f"another worker of this deployment answers at {URL}"),
        (OtherDeploymentError(f"{URL} counts for a/b, not c/d"), f"{URL} counts for a/b, not c/d"),
    ],
)
async def test_an_address_that_leads_to_another_worker_makes_this_one_unready(answer, said):
    asked = Asked(answer, HERE)
    (line,) = await asked.found()
    check = asked.seen[-1]
    assert not check.ok
    assert said in check.detail
    assert "WORDCOUNT_ADVERTISED_URL" in check.detail
    assert line["found"] == check.detail
    assert asked.address.check().ok


async def test_each_different_finding_is_logged_once():
    asked = Asked(OTHER, OTHER, PeerError("it is silent"), OTHER, HERE)
    assert len(await asked.found()) == 3


async def test_a_worker_without_http_asks_nobody():
    asked = Asked(url="")
    assert await asked.found() == []
    assert asked.address.check().ok


async def test_a_worker_that_stops_asks_nothing_more(monkeypatch):
    monkeypatch.setattr(own_address, "PAUSES_S", (60.0,))
    asked = Asked(OTHER)
    asked.address.close()
    watching = asyncio.create_task(asked.address.watch())
    async with asyncio.timeout(5):
        while asked.answers:
            await asyncio.sleep(0)
        asked.address.close()
        with pytest.raises(asyncio.CancelledError):
            await watching


def mapped(*urls):
    """The map of a group whose first member is this worker."""
    return GroupMap("in", 1, [Member(url, [number]) for number, url in enumerate(urls)], 0)


async def test_an_address_of_several_workers_is_named_where_each_finds_itself(monkeypatch):
    monkeypatch.setattr(own_address, "LOOK_S", 0.0)
    asked = Asked(HERE)
    said = f"2 workers of the group advertise {URL}"

    def lines(level):
        return [line for line in logged if line["log_level"] == level]

    async def until(condition):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)

    with capture_logs() as logged:
        watching = asyncio.create_task(asked.address.watch())
        await until(lambda: asked.address.check() == LEADS_HERE)
        asked.map = mapped(URL, "http://10.0.0.8:8080", URL)
        check = asked.address.check()
        assert not check.ok
        assert said in check.detail
        assert "WORDCOUNT_ADVERTISED_URL" in check.detail
        await until(lambda: lines("warning"))
        for _ in range(50):
            asked.map = mapped(URL, URL)
            await asyncio.sleep(0)
        assert [(line["found"], line["remedy"]) for line in lines("warning")] == [(check.detail, REMEDY)]
        asked.map = mapped(URL, "http://10.0.0.8:8080")
        assert asked.address.check() == LEADS_HERE
        await until(lambda: lines("info"))
        asked.address.close()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def test_an_address_of_several_workers_is_logged_also_where_nobody_answers(monkeypatch):
    monkeypatch.setattr(own_address, "PAUSES_S", (60.0,))
    asked = Asked(PeerError(f"{URL} cannot be reached"))
    asked.map = mapped(URL, URL)
    with capture_logs() as logged:
        watching = asyncio.create_task(asked.address.watch())
        async with asyncio.timeout(5):
            while len(logged) < 2:
                await asyncio.sleep(0)
    assert {line["log_level"] for line in logged} == {"warning"}
    assert any(f"2 workers of the group advertise {URL}" in line["found"] for line in logged)
    asked.address.close()
    await asyncio.gather(watching, return_exceptions=True)


def test_workers_that_advertise_nothing_share_no_address():
    asked = Asked(url="")
    asked.map = mapped("", "")
    assert asked.address.check().ok
