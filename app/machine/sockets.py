"""Sockets that are bound to a port of this machine: to listen at it, or to see whether it is free."""

from __future__ import annotations

import socket


def bound_to(host: str, port: int) -> socket.socket:
    """A socket that is bound to a host's `port` (0 = any free one); connections that ended a moment ago do not count.

    Raises:
        OSError: the port is taken, may not be used, or the host is none of this machine.
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
    """Whether a socket can be bound to a host's `port` now."""
    try:
        bound_to(host, port).close()
    except OSError:
        return False
    return True
