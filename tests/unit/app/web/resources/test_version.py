import platform

from msgspec import UNSET

from app.web.resources.version import version_info


async def test_version_tells_what_runs(client):
    reply = await client.get("/version")
    assert reply.status_code == 200
    assert reply.json() == {"version": "1.2.3", "python": "3.11.7", "faust": "0.15.3", "commit": "abc1234"}


def test_versions_are_read_from_what_is_installed():
    found = version_info()
    assert found.python == platform.python_version()
    assert found.faust == "0.15.3"
    assert found.commit is UNSET
