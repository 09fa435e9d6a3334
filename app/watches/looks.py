"""Looks: at which windows of a watch the next round looks. Pure.

A window that is final is looked at once more and then left behind. Windows that are not final are looked at again and again, because
their counts grow: the newest ones in every round, the others in turn. A partition without records holds windows back for as long as
they are kept. So the number of looks in a round is bounded, and no window is left behind before it is final.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.reads.window_choice import Choice

_AHEAD_S: Final = 86_400
"""How far ahead of the clock of this machine the time of a record may be, and still be right."""


@dataclass(frozen=True, slots=True)
class Looks:
    """The looks of a round; each range has the beginnings of adjacent windows.

    Attributes:
        since_s: beginning of the first window that is looked at still.
        final: windows that are final, from `since_s` on.
        others: other windows that have begun.
        next_turn_s: beginning of the window at which the next round goes on in turn.
        rounds: number of rounds that look at all windows that are not final, wherever in turn the first of them begins.
        is_behind: whether final windows are left for the next round.
    """

    since_s: int
    final: range
    others: tuple[range, ...]
    next_turn_s: int
    rounds: int
    is_behind: bool


def first_since_s(choice: Choice) -> int:
    """Return from which window on a new watch looks: the first one that some partition with records may still count in."""
    closed_s = choice.newest_closed_s
    return choice.first_kept_s if closed_s is None else closed_s + choice.size.advance_s


def since_of(choice: Choice, before_s: int | None, now_s: int) -> int:
    """Return from which window on a watch looks.

    Where it looked up to now may be beyond all windows that there are. Either the counts were reset, and are counted again up to
    there: what was told before is not told again. Or a wrong time was among the records, in the future still, and is gone since a
    reset: then the watch begins like a new one, because no window would come for years.

    Args:
        choice: the windows that there are.
        before_s: where it looked up to now; None = it is new.
        now_s: the time in seconds since 1970.
    """
    if before_s is None or (is_beyond(choice, before_s) and before_s > now_s + _AHEAD_S):
        return first_since_s(choice)
    return before_s


def is_beyond(choice: Choice, since_s: int) -> bool:
    """Return whether more than one window has to come before the one at `since_s`."""
    newest_s = choice.newest_begun_s
    return newest_s is not None and since_s > newest_s + choice.size.advance_s


def looks(choice: Choice, since_s: int, turn_s: int, *, near: int, most: int) -> Looks:
    """Return the looks of the next round.

    Args:
        choice: the windows that there are.
        since_s: beginning of the first window that is looked at still. Windows that are not kept any more are left behind.
        turn_s: `next_turn_s` of the round before; 0 = there was none.
        near: number of the newest windows, which are looked at in every round, >= 1.
        most: most final windows, and most windows in turn, >= 1.
    """
    step_s, size_s = choice.size.advance_s, choice.size.size_s
    since_s = max(since_s, choice.first_kept_s)
    newest_s, until_s = choice.newest_begun_s, choice.final_until_s
    open_s = since_s if until_s is None else max(since_s, until_s - size_s + step_s)
    final_end_s = min(open_s, since_s + most * step_s)
    if newest_s is None or newest_s < open_s:
        return Looks(since_s, range(since_s, final_end_s, step_s), (), 0, 1, open_s > final_end_s)
    near_s = max(open_s, newest_s - (near - 1) * step_s)
    begin_s = turn_s if open_s <= turn_s < near_s else open_s
    rounds = max(1, -(-(near_s - open_s) // (most * step_s)))
    turn = range(begin_s, min(near_s, begin_s + most * step_s), step_s)
    return Looks(
        since_s,
        range(since_s, final_end_s, step_s),
        tuple(one for one in (turn, range(near_s, newest_s + step_s, step_s)) if one),
        turn.stop if turn else 0,
        # Looks that begin in the midst, or at another place than those of the last turn, cut the windows elsewhere.
        rounds if rounds == 1 and begin_s == open_s else rounds + 1,
        open_s > final_end_s,
    )
