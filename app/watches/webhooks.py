"""Webhooks: sends one event to one receiver, in bounded time and memory.

TLS is verified by the authorities of the system. Redirects are not followed: only the operator's file says who is told. Whether an
address is one of the own network is the operator's choice, too. What a receiver answers besides its status is not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp

TIMEOUT_S: Final = 10.0
"""Longest time of one attempt, from the look-up of the name to the end of the answer."""

_READ_BYTES: Final = 65_536
_CONNECTIONS_PER_RECEIVER: Final = 4
_KEPT_S: Final = 4.0


class DeliveryError(Exception):
    """An event was not accepted; the text says why, without any part of the URL but its host."""


class Webhooks:
    """Sends events. Used from one event loop.

    Args:
        version: version of Wordcount, which a receiver is told.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Post `body`, and return when the receiver has accepted it: its answer has a status from 200 to 299.

        Raises:
            DeliveryError: the receiver did not accept it, or it is not known whether it did.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._post(url, body, headers)
        except TimeoutError:
            raise DeliveryError(f"no answer within {TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The texts of many errors have the URL.
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise DeliveryError(f"the receiver cannot be reached ({reason})") from None
        if not 200 <= status < 300:
            raise DeliveryError(f"the receiver answers {status}")

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as answer:
            left = _READ_BYTES
            async for part in answer.content.iter_any():
                left -= len(part)
                if left < 0:
                    answer.close()
                    break
            return answer.status

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit_per_host=_CONNECTIONS_PER_RECEIVER, keepalive_timeout=_KEPT_S
                ),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"wordcount/{self._version}"},
            )
        return self._session
