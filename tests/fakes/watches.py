"""Fakes and values of tests about watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.config.watches import Watch
from app.config.windows import Window
from app.watch_bodies import WatchCrossing, WatchDelivery, WatchedWindow, Watches, WatchFailure, WatchState
from tests.fakes.receiver import SECRET

MINUTE = Window("1m", 60, 60)
START_S = 1_767_225_600
"""2026-01-01T00:00:00Z."""

ID = "0" * 31 + "f"


def watches_file(folder: Path, url: str, *watches: tuple[str, str, int]) -> Path:
    """Write a file of watches, (name, what it waits for as lines of TOML, least count) each, and the secret of their receiver."""
    (folder / "secret").write_text(SECRET + "\n")
    file = folder / "watches.toml"
    file.write_text(
        "".join(
            f'[[watch]]\nname = "{name}"\n{waited}\nabove = {above}\nurl = "{url}"\nsecret_file = "secret"\n'
            for name, waited, above in watches
        )
    )
    return file


def watch(name: str = "alarms", **changed: object) -> Watch:
    """A watch of the word "alarm" above 2 per minute, or a changed one."""
    given: dict[str, object] = {
        "kind": "word",
        "text": "alarm",
        "window": MINUTE,
        "above": 2,
        "url": "http://127.0.0.1:9/hook?token=hidden",
        "secret_file": Path("secret"),
        **changed,
    }
    return Watch(name, **given)  # type: ignore[arg-type]


def watches(as_of: dict[int, int]) -> Watches:
    """How watches stand when they were last looked at `as_of`."""
    crossing = WatchCrossing(
        "alarms",
        "alarm\x00\u202e",
        3,
        2,
        WatchedWindow("1m", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
        None,
        as_of,
        ID,
        "2026-01-01T00:00:30Z",
        "delivered",
        0,
    )
    state = WatchState(
        "alarms",
        "word",
        "alarm",
        "1m",
        2,
        "https://hooks.example",
        "2026-01-01T00:00:30Z",
        "2026-01-01T00:00:00Z",
        0,
        1,
        1,
        0,
        0,
        None,
        WatchDelivery(ID, "2026-01-01T00:00:31Z"),
        WatchFailure(ID, "2026-01-01T00:00:30Z", "the receiver answers 503"),
    )
    return Watches(
        as_of=as_of,
        complete=True,
        missing_partitions=[],
        served_by={},
        behind={},
        owner="http://10.0.0.1:8080",
        here=True,
        problem=None,
        watches=[state],
        crossings=[crossing],
    )


@dataclass
class FakeWatchStates:
    """Says how watches stand, or raises `error` if a test sets it."""

    as_of: dict[int, int] = field(default_factory=lambda: {2: 123, 10: 7})
    error: Exception | None = None

    async def state(self) -> Watches:
        return self.here()

    def here(self) -> Watches:
        if self.error is not None:
            raise self.error
        return watches(self.as_of)
