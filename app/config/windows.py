"""Windows of event time as they are configured: their names and sizes, and the rules of the panes that they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from agents.text.choices import RECORD_TIME
from tables.errors import ConfigurationError
from tables.model.durations import LONGEST_SIZE_S, duration_s, duration_text

if TYPE_CHECKING:
    from app.config.settings import Settings
    from tables.model.windows import WindowRules


MOST_WINDOWS: Final = 8
"""Most windows that are configured: each further size of a pane adds to the rows of every flush."""

MOST_PANES: Final = 1440
"""Most panes of a hopping window, inclusive: a question for such a window adds up as many rows of each word."""

LONGEST_RETENTION_S: Final = 3_660 * 86_400


@dataclass(frozen=True, slots=True)
class Window:
    """A configured window; tumbling if `advance_s` equals `size_s`, otherwise hopping.

    Attributes:
        name: as it is written in the settings, such as `1m` or `1h/5m`.
        size_s: length in seconds.
        advance_s: seconds from the beginning of a window to that of the next one, a divisor of `size_s`, and the size of its panes.
    """

    name: str
    size_s: int
    advance_s: int

    @property
    def panes(self) -> int:
        """Number of panes that are added up for one window, 1 for a tumbling window."""
        return self.size_s // self.advance_s


class PaneRule(NamedTuple):
    """What `tables.model.windows.SizeRule` says of the panes of one size, without the slow import of the core's arrays."""

    size_s: int
    grace_s: int
    retention_s: int


@dataclass(frozen=True, slots=True)
class Windows:
    """All configured windows.

    Attributes:
        listed: the windows, in the order of the settings; () = no windows are counted.
        panes: one rule per size of a pane, ascending. A pane that several windows need has the longest grace and the longest retention
            of all of these.
        max_jump_s: see `tables.model.event_clock`.
        time_source: `record`, or the JSON Pointer to the time in a value.
        dropped_sizes: sizes of panes, in seconds, whose counts are removed if no window needs them any more.
    """

    listed: Sequence[Window]
    panes: Sequence[PaneRule]
    max_jump_s: int
    time_source: str
    dropped_sizes: frozenset[int]

    @property
    def rules(self) -> WindowRules:
        """The rules by which a worker counts."""
        from tables.model.windows import SizeRule, WindowRules

        sizes = tuple(SizeRule(*pane) for pane in self.panes)
        return WindowRules(sizes, self.max_jump_s * 1000, self.time_source)

    @property
    def need_record_times(self) -> bool:
        """Whether the times of records have to be read in the fetch."""
        return bool(self.listed) and self.time_source == RECORD_TIME


def window_of(name: str) -> Window:
    """Return the window that is written SIZE (tumbling) or SIZE/ADVANCE (hopping). Raise ValueError, which says what is wrong."""
    size, slash, advance = name.partition("/")
    size_s = _size_s(size)
    advance_s = _size_s(advance) if slash else size_s
    if size_s % advance_s:
        raise ValueError(f"{advance} does not divide {size}")
    if size_s // advance_s > MOST_PANES:
        raise ValueError(f"it would be {size_s // advance_s:,} panes of {advance}, more than {MOST_PANES:,}")
    return Window(name, size_s, advance_s)


def windows_of(settings: Settings) -> Windows:
    """Return the configured windows.

    Raises:
        ConfigurationError: an entry of a setting about windows is wrong; the message names the setting and the entry.
    """
    listed = _listed(settings.windows)
    max_jump_s = duration_s(settings.max_jump)
    graces = _per_window("WORDCOUNT_GRACE", settings.grace, listed, 0, LONGEST_SIZE_S)
    kept = _per_window("WORDCOUNT_RETENTION", settings.retention, listed, 1, LONGEST_RETENTION_S)
    panes: dict[int, PaneRule] = {}
    for window in listed:
        grace_s = graces.get(window, usual_grace_s(window.size_s))
        retention_s = kept.get(window, usual_retention_s(window.size_s, max_jump_s))
        if retention_s < max_jump_s:
            raise ConfigurationError(
                f"WORDCOUNT_RETENTION keeps {window.name} for {duration_text(retention_s)}, less than WORDCOUNT_MAX_JUMP "
                f"({settings.max_jump}): a single record with a wrong time could remove every window",
                "raise WORDCOUNT_RETENTION or lower WORDCOUNT_MAX_JUMP",
            )
        # The first pane of a hopping window ends before the window does, and is needed until the window expires.
        needed = PaneRule(window.advance_s, grace_s, retention_s + window.size_s - window.advance_s)
        other = panes.get(window.advance_s, needed)
        panes[window.advance_s] = PaneRule(
            window.advance_s, max(needed.grace_s, other.grace_s), max(needed.retention_s, other.retention_s)
        )
    dropped = frozenset(_named("WORDCOUNT_DROP_WINDOWS", name).advance_s for name in settings.drop_windows)
    return Windows(
        listed, [panes[size_s] for size_s in sorted(panes)], max_jump_s, settings.timestamp, dropped
    )


def usual_grace_s(size_s: int) -> int:
    """Return the default grace of a window in seconds: a tenth of its size, from 5 s to 5 minutes.

    Producers send again and again for two minutes by default, and several producers fill one partition, so that records are seconds to
    minutes out of order. A longer grace would delay what is final of a short window by more than people watch it for.
    """
    return min(max(size_s // 10, 5), 300)


def usual_retention_s(size_s: int, max_jump_s: int) -> int:
    """Return the default retention of a window in seconds: 1,440 times its size, from 1 to 90 days, and never less than a jump.

    A day of minutes, and 60 days of hours: about as many windows as a chart has points, whatever their size. A record with a wrong
    time may move the time on by `max_jump_s`. Nothing that was counted until then may expire by that.
    """
    return max(min(max(1440 * size_s, 86_400), 90 * 86_400), max_jump_s)


def _size_s(text: str) -> int:
    try:
        size_s = duration_s(text)
    except ValueError:
        raise ValueError(f'"{text}" is not a duration such as 30s, 5m, 1h or 7d') from None
    if not 1 <= size_s <= LONGEST_SIZE_S:
        raise ValueError(f"{text} is not from 1s to 366d")
    return size_s


def _listed(names: Sequence[str]) -> Sequence[Window]:
    found: dict[tuple[int, int], Window] = {}
    for name in names:
        window = _named("WORDCOUNT_WINDOWS", name)
        former = found.setdefault((window.size_s, window.advance_s), window)
        if former is not window:
            raise ConfigurationError(
                f'WORDCOUNT_WINDOWS has the entry "{name}", which is the same window as "{former.name}"',
                "remove one of both",
            )
    if len(found) > MOST_WINDOWS:
        raise ConfigurationError(
            f"WORDCOUNT_WINDOWS has {len(found)} windows, more than {MOST_WINDOWS}",
            "remove some: each size adds to what every flush writes",
        )
    return tuple(found.values())


def _named(variable: str, name: str) -> Window:
    try:
        return window_of(name)
    except ValueError as wrong:
        raise ConfigurationError(
            f'{variable} has the entry "{name}": {wrong}',
            "write SIZE for tumbling or SIZE/ADVANCE for hopping windows, such as 1m,1h,1h/5m",
        ) from None


def _per_window(
    variable: str, entries: Sequence[str], listed: Sequence[Window], least_s: int, most_s: int
) -> Mapping[Window, int]:
    """Return the duration of each window that `entries` name; an entry without a window is that of all windows that no other names."""
    known = {(window.size_s, window.advance_s): window for window in listed}
    named: dict[Window, int] = {}
    others_s: int | None = None
    for entry in entries:
        name, equals, text = entry.rpartition("=")
        try:
            seconds = duration_s(text)
        except ValueError:
            seconds = -1
        if not least_s <= seconds <= most_s:
            raise ConfigurationError(
                f'{variable} has the entry "{entry}": "{text}" is not a duration from {least_s}s to {most_s // 86_400}d',
                f"write a duration such as 30s, 5m, 1h or 7d, or one for each window, such as 1m={text if seconds >= 0 else '30s'}",
            )
        if not equals:
            if others_s is not None:
                raise _twice(variable, entry)
            others_s = seconds
            continue
        try:
            window = window_of(name)
            named_window = known[window.size_s, window.advance_s]
        except (ValueError, KeyError):
            configured = ", ".join(window.name for window in listed) or "none"
            raise ConfigurationError(
                f'{variable} has the entry "{entry}", but WORDCOUNT_WINDOWS has no window "{name}"',
                f"name one of the configured windows ({configured}), or add this one to WORDCOUNT_WINDOWS",
            ) from None
        if named_window in named:
            raise _twice(variable, entry)
        named[named_window] = seconds
    if others_s is not None:
        return {window: named.get(window, others_s) for window in listed}
    return named


def _twice(variable: str, entry: str) -> ConfigurationError:
    return ConfigurationError(
        f'{variable} has the entry "{entry}", but an entry before it is for the same windows',
        "remove one of both",
    )
