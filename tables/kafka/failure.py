"""Failed connections to a broker: why the broker could not be reached, and when the next attempt may begin."""

from __future__ import annotations

from dataclasses import dataclass

RETRY_S = (0.1, 1.0)
"""Shortest and longest pause, in seconds, between two attempts to connect to a broker; doubled after each failed attempt."""


@dataclass(slots=True)
class Failure:
    """The latest failed attempt to reach a broker.

    Attributes:
        address: `host:port` as the brokers advertise this broker; "" = the brokers do not know this broker.
        error: error of the latest attempt.
        times: failed attempts in a row.
        at, retry_at: times of the latest and of the earliest next attempt, on the event loop's clock.
    """

    address: str
    error: BaseException
    times: int
    at: float
    retry_at: float

    @classmethod
    def after(cls, former: Failure | None, address: str, error: BaseException, now: float) -> Failure:
        """Return the failure that follows `former`, the broker's latest failure; None = the broker had not failed."""
        times = former.times + 1 if former is not None and former.address == address else 1
        least_s, longest_s = RETRY_S
        pause_s = min(longest_s, least_s * 2 ** min(times - 1, 10))
        return cls(address, error, times, now, now + pause_s)

    def __str__(self) -> str:
        return f"{self.address or 'no address'}: {self.error or type(self.error).__name__}"
