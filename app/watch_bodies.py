"""Bodies about watches: the answers over HTTP, and the data of the event that a receiver is sent; as in `app.bodies`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from app.bodies import BY_PARTITION, Count, Freshness, Occurrences
from app.window_bodies import End, Size, Start, Time

MOST_RECENT: Final = 100
"""Most crossings in one answer."""

CrossingState = Literal["waiting", "delivered", "given_up"]

Name = Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{1,64}$", description="Name of the watch.")]
CrossingId = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{32}$",
        description="Id of the crossing: the same whoever sends it, and however often. Made of the watch's name and definition, the "
        "word and the window.",
    ),
]
Waited = Annotated[Count, Meta(description="A word crosses when it occurs more often than this.")]
Reason = Annotated[str, Meta(description="What went wrong.")]


class WatchedWindow(Struct, frozen=True):
    """The window in which a word has crossed."""

    size: Size
    start: Start
    end: End


class CrossingData(Struct, frozen=True):
    """What a receiver is told of a crossing: the member `data` of a CloudEvent."""

    watch: Name
    word: Annotated[str, Meta(description="The word: any text.")]
    count: Annotated[
        Occurrences, Meta(description="How often the word occurred when the crossing was found.")
    ]
    threshold: Waited
    window: Annotated[WatchedWindow | None, Meta(description="The window; null for a total.")]
    score: Annotated[
        float | None,
        Meta(description="How far a trending word was above its baseline; null for other watches."),
    ]
    as_of: Annotated[
        dict[Count, Count],
        Meta(
            description="Partition → next offset to count, when the crossing was found.",
            extra_json_schema=BY_PARTITION,
        ),
    ]


class WatchCrossing(CrossingData, frozen=True):
    """A crossing, and what became of it."""

    id: CrossingId
    found: Annotated[Time, Meta(description="When the crossing was found.")]
    state: Annotated[
        CrossingState,
        Meta(
            description="`waiting`: not accepted by the receiver yet; `delivered`; `given_up`: the receiver has not accepted it for "
            "a day."
        ),
    ]
    attempts: Annotated[
        Count, Meta(description="While it waits, how often this worker has tried to deliver it.")
    ]


class WatchDelivery(Struct, frozen=True):
    """The last crossing that the receiver has accepted."""

    id: CrossingId
    time: Annotated[Time, Meta(description="When the receiver accepted it.")]


class WatchFailure(Struct, frozen=True):
    """The last attempt that failed."""

    id: CrossingId
    time: Annotated[Time, Meta(description="When it failed.")]
    reason: Reason


class WatchState(Struct, frozen=True):
    """A watch, and how it stands. Numbers are since the worker began to send."""

    name: Name
    kind: Annotated[Literal["word", "prefix", "trending"], Meta(description="What is waited for.")]
    text: Annotated[str, Meta(description="The word, normalised, or the prefix; empty for words that trend.")]
    window: Annotated[
        Size | None, Meta(description="Size of the windows in which words are counted; null for a total.")
    ]
    threshold: Waited
    receiver: Annotated[str, Meta(description="Scheme, host and port of the receiver.")]
    evaluated: Annotated[Time | None, Meta(description="When the watch was last looked at; null if never.")]
    looked_from: Annotated[
        Time | None,
        Meta(
            description="Beginning of the oldest window that is looked at still; null for a total, and before the first look."
        ),
    ]
    waiting: Annotated[Count, Meta(description="Crossings that the receiver has not accepted yet.")]
    delivered: Annotated[Count, Meta(description="Crossings that the receiver has accepted.")]
    failures: Annotated[Count, Meta(description="Attempts that failed.")]
    given_up: Annotated[Count, Meta(description="Crossings that were given up.")]
    left_out: Annotated[
        Count,
        Meta(
            description="Words beyond the bound of a window in the last look: they have crossed, and nobody is told."
        ),
    ]
    problem: Annotated[str | None, Meta(description="Why the last look failed; null if it did not.")]
    last_delivery: Annotated[WatchDelivery | None, Meta(description="The last delivery; null if none.")]
    last_failure: Annotated[WatchFailure | None, Meta(description="The last failure; null if none.")]


class Watches(Freshness, frozen=True):
    """All watches, as the worker says that looks at them and sends; `as_of` is what they were last looked at.

    A watch that is not looked at, because too many of its crossings wait, is left out of `as_of`.
    """

    owner: Annotated[str, Meta(description="URL of that worker.")]
    here: Annotated[bool, Meta(description="Whether it is the worker that answers.")]
    problem: Annotated[str | None, Meta(description="Why no watch is looked at; null if all is well.")]
    watches: Annotated[list[WatchState], Meta(description="The watches, in the order of the file.")]
    crossings: Annotated[
        list[WatchCrossing], Meta(max_length=MOST_RECENT, description="The newest crossings, newest first.")
    ]

    @property
    def news(self) -> object:
        """Crossings are found, delivered and fail at the same positions too."""
        standing = [(one.waiting, one.given_up, one.left_out, one.problem) for one in self.watches]
        return super().news, self.problem, standing, [(one.id, one.state) for one in self.crossings]


WATCH_BODIES: Final = (
    *(Watches, WatchState, WatchCrossing, WatchDelivery, WatchFailure, WatchedWindow, CrossingData),
)
"""The bodies about watches. Their members are fixed."""
