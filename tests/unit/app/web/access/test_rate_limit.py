import pytest

from app.web.access import rate_limit
from app.web.access.rate_limit import CLIENT, RateLimit, client_address, client_of


@pytest.mark.parametrize("per_s", [1, 7, 1000])
def test_a_client_may_send_two_seconds_worth_at_once_and_then_its_rate(clock, per_s):
    limit = RateLimit(per_s, clock)
    assert [limit.wait_s("a") for _ in range(2 * per_s)] == [0] * (2 * per_s)
    assert limit.wait_s("a") == 1
    assert limit.wait_s("b") == 0
    clock.now_s += 1
    assert [limit.wait_s("a") for _ in range(per_s)] == [0] * per_s
    assert limit.wait_s("a") == 1
    clock.now_s += 60
    assert [limit.wait_s("a") for _ in range(2 * per_s)] == [0] * (2 * per_s)
    assert limit.wait_s("a") > 0


def test_who_waits_as_long_as_told_is_let_in_and_refusals_cost_nothing(clock):
    limit = RateLimit(3, clock)
    while not limit.wait_s("a"):
        pass
    for _ in range(100):
        wait_s = limit.wait_s("a")
    clock.now_s += wait_s
    assert limit.wait_s("a") == 0


def test_the_client_that_was_silent_for_longest_is_forgotten(clock, monkeypatch):
    monkeypatch.setattr(rate_limit, "MOST_CLIENTS", 3)
    limit = RateLimit(1, clock)
    for client in "abc":
        while not limit.wait_s(client):
            pass
    assert limit.wait_s("a") > 0  # asks again, although in vain
    assert limit.wait_s("d") == 0
    assert len(limit) == 3
    assert limit.wait_s("a") > 0
    assert limit.wait_s("b") == 0


def test_who_has_sent_too_many_bytes_waits_until_its_mean_is_the_rate_again(clock):
    limit = RateLimit(100, clock)
    assert limit.wait_s("a", 0) == 0
    limit.spend("a", 1000)
    assert limit.wait_s("a", 0) == 8
    assert limit.wait_s("b", 0) == 0
    clock.now_s += 7.5
    assert limit.wait_s("a", 0) == 1
    clock.now_s += 0.5
    assert limit.wait_s("a", 0) == 0
    limit.spend("a", 1)
    assert limit.wait_s("a", 0) == 1
    assert limit.wait_s("c", 201) == 1


def test_the_client_of_a_request_is_its_token_or_its_address():
    scope = {"client": ("192.0.2.1", 5)}
    assert client_of(scope) == "192.0.2.1"
    assert client_of({**scope, CLIENT: "token one"}) == "token one"
    assert client_of({"client": None}) == ""


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("no:address", "no:address"),
    ],
)
def test_an_address_stands_for_its_client(host, client):
    assert client_address(host) == client
