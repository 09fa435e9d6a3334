"""Decorator of functions that must run in a thread, never on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


def beside_the_loop(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Mark a function that computes long or waits for a disk or a broker. A call on an event loop raises AssertionError."""

    @wraps(function)
    def checked(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        assert asyncio._get_running_loop() is None, f"{function.__qualname__} was called on an event loop"
        return function(*arguments, **options)

    return checked
