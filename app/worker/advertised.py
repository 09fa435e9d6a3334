"""Addresses of workers: the URL at which the others of the group ask this worker, and host and port of each of them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.machine.sockets import own_address

if TYPE_CHECKING:
    from agents.source.group_map import GroupMap
    from app.config.settings import Settings

NOWHERE = ""
"""The URL of a worker that serves no HTTP."""


def advertised_url(settings: Settings, listeners: Sequence[socket.socket]) -> str:
    """Return `WORDCOUNT_ADVERTISED_URL`, or else the URL of the address and port that HTTP really listens on.

    Where HTTP listens on all addresses, the URL has the address from which this machine reaches the first broker: an address of the
    network that the workers share. The machine's host name is the last resort, because the name of a container is known to nobody.

    Args:
        settings: settings that were checked.
        listeners: bound sockets of HTTP; empty = no HTTP is served.
    """
    if settings.advertised_url is not None:
        return settings.advertised_url
    if not listeners:
        return NOWHERE
    host, port = listeners[0].getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        broker, _, broker_port = settings.bootstrap_servers.split(",")[0].rpartition(":")
        try:
            host = own_address(broker.strip("[]"), int(broker_port))
        except OSError:
            host = socket.gethostname()
    scheme = "http" if settings.http_tls_cert_file is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def worker_addresses(group_map: GroupMap | None) -> list[tuple[str, int]]:
    """Return host and port of the workers in the map of the group, this worker first; empty while no map is known.

    A worker that serves no HTTP, or is of a version that tells no URL, is left out.
    """
    if group_map is None:
        return []
    others = [member for number, member in enumerate(group_map.members) if number != group_map.me]
    addresses = []
    for member in (group_map.myself, *others):
        url = urlsplit(member.url)
        if url.hostname is not None:
            addresses.append((url.hostname, url.port or (443 if url.scheme == "https" else 80)))
    return addresses
