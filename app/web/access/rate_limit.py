"""The rate limit: how much a client may send in a second, requests or bytes, and which client a request belongs to."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

BURST_S: Final = 2
"""A client that was silent may send at once what it may send in this many seconds."""

MOST_CLIENTS: Final = 10_000
"""Number of clients that are remembered; the client that has been silent for longest is forgotten first."""


CLIENT: Final = "wordcount.client"
"""Entry of a request's ASGI scope: the name of its client for rate limits, where a token has said it."""


class RateLimit:
    """A bound for what each client sends.

    Of each client one number is kept: the time at which all that it has sent so far would have been sent at the allowed rate.

    Args:
        per_s: requests or bytes that a client may send in a second in the long run, >= 1; `BURST_S` times as many at once.
        clock: returns seconds that never go back.
    """

    def __init__(self, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_s = per_s
        self._clock = clock
        self._spent_s: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spent_s)

    def wait_s(self, client: str, amount: int = 1) -> int:
        """Return 0 if `client` may send so much now, which is then counted; else the whole seconds after which it may, >= 1.

        Where the amount is not known before it has come, it is counted by `spend`, and 0 asks whether the client has to wait.
        """
        now_s = self._clock()
        spent_s = self._spent(client, now_s) + amount / self.per_s
        too_early_s = spent_s - now_s - BURST_S
        if too_early_s > 1e-9:
            if client in self._spent_s:
                self._spent_s.move_to_end(client)
            return max(1, math.ceil(too_early_s))
        self._keep(client, spent_s)
        return 0

    def spend(self, client: str, amount: int) -> None:
        """Count what `client` has sent, however much that is."""
        self._keep(client, self._spent(client, self._clock()) + amount / self.per_s)

    def _spent(self, client: str, now_s: float) -> float:
        return max(self._spent_s.get(client, now_s), now_s)

    def _keep(self, client: str, spent_s: float) -> None:
        self._spent_s[client] = spent_s
        self._spent_s.move_to_end(client)
        if len(self._spent_s) > MOST_CLIENTS:
            self._spent_s.popitem(last=False)


def client_of(scope: Any) -> str:
    """Return the name of the client of a request: that of its token, else its address."""
    if (named := scope.get(CLIENT)) is not None:
        return str(named)
    return client_address(scope["client"][0]) if scope["client"] else ""


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
