"""Ports of this machine: which are free, and which hosts can be bound."""

import pytest

from app.machine.sockets import bound_to, is_free, own_address


def test_a_port_that_somebody_listens_at_is_not_free():
    with bound_to("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        with pytest.raises(OSError, match="in use"):
            bound_to("127.0.0.1", port)
    assert is_free("127.0.0.1", port)


def test_a_host_that_is_not_of_this_machine_cannot_be_bound():
    assert not is_free("203.0.113.1", 0)


def test_a_name_is_looked_up():
    with bound_to("localhost", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_the_own_address_is_the_one_from_which_a_host_is_reached() -> None:
    assert own_address("127.0.0.1", 9092) == "127.0.0.1"


def test_a_host_that_cannot_be_looked_up_has_no_route() -> None:
    with pytest.raises(OSError, match=r"."):
        own_address("no-such-host.invalid", 9092)
