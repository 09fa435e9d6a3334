"""Addresses and ports of this machine: binds sockets, and finds out at which address others reach this machine."""

from __future__ import annotations

import socket


def bound_to(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to `port` of `host`; 0 = any free port.

    Connections that ended a moment ago do not keep the port from being bound.

    Raises:
        OSError: the port is taken, this process may not use the port, or `host` is not an address of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def is_free(host: str, port: int) -> bool:
    """Return whether a socket can be bound to `port` of `host` now."""
    try:
        bound_to(host, port).close()
    except OSError:
        return False
    return True


def own_address(host: str, port: int) -> str:
    """Return the address from which this machine reaches `port` of `host`, which is an address at which others reach this machine.

    Nothing is sent: a datagram socket that is connected only learns its route. The host's name is looked up.

    Raises:
        OSError: the name cannot be looked up, or there is no route to the host.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        found: str = probe.getsockname()[0]
    return found
