import json
import os
import shutil
import socket
from collections import namedtuple

import pytest

from tests.unit.app.commands.other_services import JSON, Other, answer_of


@pytest.fixture
def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def examine(wordcount, closed_port, monkeypatch):
    """Status, detail and remedy by name, and the exit code; no broker is there."""
    monkeypatch.setenv("WORDCOUNT_HTTP_PORT", str(closed_port))

    def examined():
        outcome = wordcount("doctor", "--json", "--bootstrap-servers", f"127.0.0.1:{closed_port}")
        return {check["name"]: check for check in json.loads(outcome.out)}, outcome.code

    return examined


def test_without_a_broker_the_rest_is_still_examined(examine, closed_port):
    checks, code = examine()
    assert code == 1
    assert {name: check["status"] for name, check in checks.items()} == {
        "versions": "ok",
        "state folder": "ok",
        "disk": "ok",
        "HTTP port": "ok",
        "broker": "fail",
    }
    assert f'WORDCOUNT_BOOTSTRAP_SERVERS="127.0.0.1:{closed_port}"' in checks["broker"]["detail"]
    for name in ("Python 3.", "faust-streaming 0.", "aiokafka 0.", "rocksdict 0.", "pyarrow "):
        assert name in checks["versions"]["detail"]


def test_each_line_says_what_was_found_and_what_helps(wordcount, closed_port, monkeypatch):
    monkeypatch.setenv("WORDCOUNT_HTTP_PORT", "0")
    outcome = wordcount("doctor", "--bootstrap-servers", f"127.0.0.1:{closed_port}")
    lines = outcome.out.splitlines()
    assert outcome.code == 1
    assert [line.split()[0] for line in lines] == ["ok", "ok", "ok", "ok", "fail"]
    assert lines[3] == "ok   HTTP port: any free one"
    assert "; start a broker there" in lines[4]


def test_a_state_folder_that_does_not_exist_is_not_made(examine, tmp_path):
    checks, _ = examine()
    assert checks["state folder"]["detail"].endswith("can be made")
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_that_is_a_file_is_refused(examine, tmp_path):
    (tmp_path / ".wordcount").touch()
    checks, _ = examine()
    assert checks["state folder"]["status"] == "fail"
    assert "WORDCOUNT_STATE_DIR" in checks["state folder"]["remedy"]


def test_a_file_system_that_takes_no_files_is_told_whatever_its_permissions_say(examine, monkeypatch):
    assert os.access("/proc", os.W_OK | os.X_OK) or os.geteuid()
    monkeypatch.setenv("WORDCOUNT_STATE_DIR", "/proc")
    check = examine()[0]["state folder"]
    assert (check["status"], check["detail"].startswith("/proc cannot be written (")) == ("fail", True)


def test_nothing_stays_in_the_state_folder(examine, tmp_path, monkeypatch):
    monkeypatch.setenv("WORDCOUNT_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    assert examine()[0]["state folder"]["detail"].endswith("can be written")
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize(("free_bytes", "status"), [(2**40, "ok"), (2**29, "warn"), (2**20, "fail")])
def test_a_disk_that_runs_full_is_told(examine, monkeypatch, free_bytes, status):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**41, 0, free_bytes))
    assert examine()[0]["disk"]["status"] == status


def test_a_port_that_a_worker_uses_is_fine(examine, worker_port, monkeypatch):
    monkeypatch.setenv("WORDCOUNT_HTTP_PORT", str(worker_port))
    check = examine()[0]["HTTP port"]
    assert (check["status"], "a worker of version 1.2.3" in check["detail"]) == ("ok", True)


def test_a_port_that_another_service_uses_is_told_with_what_it_answers(examine, monkeypatch):
    body = b'{"detail":"Not Found"}'
    with Other(answer_of("404 Not Found", JSON, body)) as url:
        monkeypatch.setenv("WORDCOUNT_HTTP_PORT", url.rpartition(":")[2])
        check = examine()[0]["HTTP port"]
    assert check["status"] == "fail"
    assert f"what answers at {url} is not a worker" in check["detail"]


def test_a_port_that_something_else_uses_fails(examine, monkeypatch):
    with socket.create_server(("127.0.0.1", 0), backlog=1) as other:
        monkeypatch.setenv("WORDCOUNT_HTTP_PORT", str(other.getsockname()[1]))
        monkeypatch.setattr("app.operate.worker_client._TIMEOUT_S", 0.2)
        check = examine()[0]["HTTP port"]
    assert check["status"] == "fail"
    assert "WORDCOUNT_HTTP_PORT" in check["remedy"]


def test_the_file_of_watches_is_read_with_its_secrets(examine, monkeypatch, tmp_path):
    file = tmp_path / "watches.toml"
    monkeypatch.setenv("WORDCOUNT_WATCHES", str(file))
    file.write_text(
        '[[watch]]\nname = "a"\nword = "b"\nabove = 1\nurl = "https://hooks.example/?k=hidden"\nsecret_file = "s"\n'
    )
    found = examine()[0]["watches"]
    assert (found["status"], "secret_file" in found["detail"]) == ("fail", True)
    (tmp_path / "s").write_text("whsec_" + 32 * "a")
    found = examine()[0]["watches"]
    assert found["status"] == "ok"
    assert found["detail"].endswith("told are https://hooks.example")
