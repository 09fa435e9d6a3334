"""Why a broker could not be reached, and when it may be tried again."""

from __future__ import annotations

from dataclasses import dataclass

RETRY_S = (0.1, 1.0)
"""Least and longest time between two connections to a broker that could not be reached; doubled each time."""


@dataclass(slots=True)
class Failure:
    """Why a broker could not be reached.

    Attributes:
        address: `host:port` as the brokers advertise it; "" = they do not know this broker.
        error: what happened at the latest attempt.
        times: attempts in a row.
        at, retry_at: when that was, and when the next attempt may be, on the event loop's clock.
    """

    address: str
    error: BaseException
    times: int
    at: float
    retry_at: float

    @classmethod
    def after(cls, former: Failure | None, address: str, error: BaseException, now: float) -> Failure:
        """The failure that follows `former`, the latest one of that broker; None = there was none."""
        times = former.times + 1 if former is not None and former.address == address else 1
        least_s, longest_s = RETRY_S
        pause_s = min(longest_s, least_s * 2 ** min(times - 1, 10))
        return cls(address, error, times, now, now + pause_s)

    def __str__(self) -> str:
        return f"{self.address or 'no address'}: {self.error or type(self.error).__name__}"
