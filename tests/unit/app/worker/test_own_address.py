import asyncio

import pytest
from structlog.testing import capture_logs

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
        self.address = OwnAddress(lambda: url, "me", self.ask)

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
    finding = asyncio.create_task(asked.address.find())
    async with asyncio.timeout(5):
        while asked.answers:
            await asyncio.sleep(0)
        asked.address.close()
        with pytest.raises(asyncio.CancelledError):
            await finding
