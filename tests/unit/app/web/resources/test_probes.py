import pytest

from app.bodies import ReadinessCheck
from tables.errors import NotReadyError


async def test_live_whatever_else_is_wrong(client, queries, health):
    queries.error = NotReadyError("nothing restored yet")
    health.found["broker"] = ReadinessCheck(False, "unreachable")
    reply = await client.get("/livez")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


async def test_ready_when_every_check_is_ok(client):
    reply = await client.get("/readyz")
    assert reply.status_code == 200
    assert reply.json()["status"] == "ready"
    assert list(reply.json()["checks"]) == ["broker", "assignment", "restored", "draining"]


@pytest.mark.parametrize("name", ["broker", "assignment", "restored", "draining"])
async def test_one_failing_check_makes_it_unready_and_is_named(client, health, name):
    health.found[name] = ReadinessCheck(False, "the reason")
    reply = await client.get("/readyz")
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.json()["status"] == "not_ready"
    assert reply.json()["checks"][name] == {"ok": False, "detail": "the reason"}
    assert sum(check["ok"] for check in reply.json()["checks"].values()) == 3
