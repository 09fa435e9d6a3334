"""The rate limit: how many requests a client may send in a second, and which client a connection belongs to."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

BURST_S: Final = 2
"""A client that was silent may send the requests of this many seconds at once."""

MOST_CLIENTS: Final = 10_000
"""Number of clients that are remembered; the client that has been silent for longest is forgotten first."""


class RateLimit:
    """A bound for the requests of each client.

    Of each client one number is kept: the time at which all its requests so far would have been sent at the allowed rate.

    Args:
        per_s: requests that a client may send in a second in the long run, >= 1; `BURST_S` times as many at once.
        clock: returns seconds that never go back.
    """

    def __init__(self, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_s = per_s
        self._clock = clock
        self._spent_s: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spent_s)

    def wait_s(self, client: str) -> int:
        """Return 0 if `client` may send a request now, which is then counted; else the whole seconds after which it may, >= 1."""
        now_s = self._clock()
        spent_s = max(self._spent_s.get(client, now_s), now_s) + 1 / self.per_s
        too_early_s = spent_s - now_s - BURST_S
        if too_early_s > 1e-9:
            self._spent_s.move_to_end(client)
            return max(1, math.ceil(too_early_s))
        self._spent_s[client] = spent_s
        self._spent_s.move_to_end(client)
        if len(self._spent_s) > MOST_CLIENTS:
            self._spent_s.popitem(last=False)
        return 0


def client_address(host: str) -> str:
    """Return what stands for the client at an IP address: an IPv4 address itself, of an IPv6 address the first 64 bits.

    One subscriber usually has 2**64 IPv6 addresses. An IPv4 client of a socket for both has the address `::ffff:<IPv4 address>`.
    """
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
