"""The error of a simulation in which a promise is broken."""

from collections.abc import Sequence
from typing import Any


class WrongError(AssertionError):
    """`tables` broke one of its promises.

    Args:
        promise: the broken promise; the text is equal for every breach of that promise.
        found: what was found instead.
        steps: the steps that the schedule had taken; () while they are not known.
    """

    def __init__(self, promise: str, found: str, steps: Sequence[Any] = ()) -> None:
        super().__init__(f"{promise}: {found}")
        self.promise = promise
        self.steps = steps
