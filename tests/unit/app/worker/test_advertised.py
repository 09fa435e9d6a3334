"""The URL at which other workers ask this worker."""

import socket
from pathlib import Path

import pytest

from agents.source.group_map import GroupMap, Member
from app.config.settings import Settings
from app.machine.sockets import bound_to
from app.worker.advertised import advertised_url, worker_addresses


def listening(host: str) -> tuple[socket.socket, int]:
    listener = bound_to(host, 0)
    return listener, listener.getsockname()[1]


def test_the_setting_wins() -> None:
    listener, _ = listening("127.0.0.1")
    with listener:
        assert (
            advertised_url(Settings(advertised_url="https://w.example:80/"), [listener])
            == "https://w.example:80"
        )


def test_a_loopback_listener_advertises_loopback_and_its_real_port() -> None:
    listener, port = listening("127.0.0.1")
    with listener:
        assert advertised_url(Settings(http_port=0), [listener]) == f"http://127.0.0.1:{port}"


def test_all_addresses_advertise_the_address_toward_the_brokers() -> None:
    listener, port = listening("0.0.0.0")
    with listener:
        settings = Settings(bootstrap_servers="127.0.0.1:9092,10.0.0.1:9092")
        assert advertised_url(settings, [listener]) == f"http://127.0.0.1:{port}"


def test_without_a_route_to_the_brokers_the_host_name_is_advertised() -> None:
    listener, port = listening("0.0.0.0")
    with listener:
        settings = Settings(bootstrap_servers="no-such-host.invalid:9092")
        assert advertised_url(settings, [listener]) == f"http://{socket.gethostname()}:{port}"


def test_a_worker_without_http_is_nowhere() -> None:
    assert advertised_url(Settings(), []) == ""


@pytest.mark.parametrize(
    "url", ["w:80", "ftp://w:1", "http://", "http://w:0", "http://w:65536", "http://w/path", "http://u@w"]
)
def test_what_is_no_address_of_a_worker_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="advertised_url"):
        Settings(advertised_url=url)


def test_a_worker_with_tls_advertises_https() -> None:
    listener, port = listening("127.0.0.1")
    with listener:
        settings = Settings(http_tls_cert_file=Path("server.pem"))
        assert advertised_url(settings, [listener]) == f"https://127.0.0.1:{port}"


def test_addresses_of_workers_begin_with_this_worker_and_leave_out_who_tells_none() -> None:
    urls = ["http://10.0.0.7:8080", "", "https://[fd00::1]", "http://w.example"]
    group_map = GroupMap("texts", 3, [Member(url, [number]) for number, url in enumerate(urls)], me=2)
    assert worker_addresses(group_map) == [("fd00::1", 443), ("10.0.0.7", 8080), ("w.example", 80)]
    assert worker_addresses(None) == []
