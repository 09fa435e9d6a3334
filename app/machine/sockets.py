"""Ports of this machine: binds a socket to a port, or finds out whether a port is free."""

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
