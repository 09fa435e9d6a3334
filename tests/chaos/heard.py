"""What clients have heard at any moment: the largest positions in the answers by then, and which answers fell behind them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from tests.chaos.replies import Positions, Reply


class Heard:
    """The positions of all answers in the order in which clients received them.

    Args:
        replies: all replies, in any order.
    """

    def __init__(self, replies: Sequence[Reply]) -> None:
        self._answers = sorted(
            (reply for reply in replies if reply.is_answer), key=lambda reply: reply.received_s
        )
        self._spans = [answer.span() for answer in self._answers]
        told = [span.most or span.least or {} for span in self._spans]
        self._numbers = sorted(set[int]().union(*told))
        rows = [[at.get(number, -1) for number in self._numbers] for at in told]
        self._told = np.array(rows, np.int64).reshape(len(told), len(self._numbers))
        self._most = np.maximum.accumulate(self._told) if rows else self._told
        self._received_s = [answer.received_s for answer in self._answers]

    def before(self, moment_s: float) -> Positions:
        """Return partition -> largest position in the answers that were received before a moment."""
        place = bisect_left(self._received_s, moment_s) - 1
        if place < 0:
            return {}
        pairs = zip(self._numbers, self._most[place].tolist(), strict=True)
        return {number: position for number, position in pairs if position >= 0}

    def fallen(self) -> list[tuple[Reply, Reply, int]]:
        """Return (earlier answer, later answer, partition) where the later one was asked for afterwards and is as of less."""
        found = []
        for answer, span in zip(self._answers, self._spans, strict=True):
            heard = self.before(answer.sent_s)
            for number, position in (span.least or {}).items():
                if position < heard.get(number, -1):
                    column = self._told[:, self._numbers.index(number)]
                    found.append((self._answers[int(np.argmax(column == heard[number]))], answer, number))
        return found
