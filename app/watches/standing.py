"""The standing of a watch: what happened since this worker began to send, for who asks how the watch stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.reads.window_answers import time_text
from app.watch_bodies import WatchCrossing, WatchDelivery, WatchFailure, WatchState
from app.watches.crossing import crossing_id, data_of
from app.watches.ledger import Page, Recent


@dataclass(slots=True)
class Standing:
    """How a watch stands.

    Attributes:
        as_of: positions of the last look that succeeded.
        looks: looks at these positions.
        rounds: looks at the same positions that look at everything.
        turn_s: see `app.watches.looks`.
        is_behind: whether the next look should come soon.
        is_held: whether it is not looked at, because too many of its crossings wait.
        evaluated_s: when the watch was last looked at, in seconds since 1970.
        problem: why the last look failed, or what it left out.
        delivered, failures, given_up, left_out: see `app.watch_bodies.WatchState`.
        last_delivery, last_failure: as told over HTTP.
        attempts: id of a crossing that waits -> attempts to deliver it.
    """

    as_of: Mapping[int, int] = field(default_factory=dict)
    looks: int = 0
    rounds: int = 1
    turn_s: int = 0
    is_behind: bool = False
    is_held: bool = False
    evaluated_s: int | None = None
    problem: str | None = None
    delivered: int = 0
    failures: int = 0
    given_up: int = 0
    left_out: int = 0
    last_delivery: WatchDelivery | None = None
    last_failure: WatchFailure | None = None
    attempts: dict[str, int] = field(default_factory=dict)

    def is_done_at(self, as_of: Mapping[int, int]) -> bool:
        """Return whether a further look at these positions would find nothing new."""
        return self.as_of == as_of and self.looks >= self.rounds and not self.is_behind

    def body(self, page: Page) -> WatchState:
        """Return how the watch of `page` stands, as the body of an answer."""
        watch = page.watch
        return WatchState(
            watch.name,
            watch.kind,
            watch.text,
            None if watch.window is None else watch.window.name,
            watch.above,
            watch.receiver,
            None if self.evaluated_s is None else time_text(self.evaluated_s),
            None if page.since_s is None else time_text(page.since_s),
            len(page.waiting),
            self.delivered,
            self.failures,
            self.given_up,
            self.left_out,
            self.problem,
            self.last_delivery,
            self.last_failure,
        )


def crossing_body(recent: Recent, attempts: int) -> WatchCrossing:
    """Return a crossing and what became of it as the body of an answer."""
    watch, crossing = recent.watch, recent.crossing
    data = data_of(watch, crossing)
    return WatchCrossing(
        data.watch,
        data.word,
        data.count,
        data.threshold,
        data.window,
        data.score,
        data.as_of,
        crossing_id(watch, crossing.word, crossing.start_s),
        time_text(crossing.found_s),
        recent.state,
        attempts,
    )
