"""Answers of several parties or partitions: asked for at the same time, and put together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Value = TypeVar("Value")


def united(mappings: Iterable[Mapping[int, Value]]) -> dict[int, Value]:
    """Return one mapping with the partitions of all."""
    return {number: value for mapping in mappings for number, value in mapping.items()}


async def all_of(coroutines: Sequence[Coroutine[Any, Any, Value]]) -> Sequence[Value]:
    """Return the results in order. Raise the first error when all have ended."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    return [_result(result) for result in await asyncio.gather(*coroutines, return_exceptions=True)]


def _result(result: Value | BaseException) -> Value:
    if isinstance(result, BaseException):
        raise result
    return result
