"""`wordcount verify`: compares every count with a recount of the input, also while workers count."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.cli_options import AsJson, BootstrapServers, Group, Topic
from app.exit_codes import EXIT_FAILED, EXIT_NOT_COMPARED
from app.output import say, say_error, say_json
from tables.errors import ConfigurationError, WordcountError
from tables.model.durations import duration_text

if TYPE_CHECKING:
    from app.config.settings import Settings
    from app.operate.verification import Verified
    from app.operate.window_verification import VerifiedWindows, WindowDifference

WORDS_SHOWN: Final = 20


def verify(
    word: Annotated[
        str | None, typer.Option("--word", metavar="WORD", help="Compare only the count of this word.")
    ] = None,
    windows: Annotated[
        bool, typer.Option("--windows", help="Compare the counts of windows of event time, too.")
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    group: Group = None,
    as_json: AsJson = False,
) -> None:
    """Count the input again and compare every count; workers may continue to count meanwhile.

    Exit code 0: all counts are equal; 1: some counts differ; 2: a setting or a right is wrong; 3: no count differs, but not all
    partitions could be compared.
    """
    from app.config.loading import load_settings

    settings = load_settings(bootstrap_servers=bootstrap_servers, topic=topic, group=group)
    found: list[Verified] = []
    try:
        asyncio.run(_verify(settings, word, found, windows=windows, show=not as_json))
    except ConfigurationError:
        raise
    except WordcountError as error:
        say_error(error)
        raise typer.Exit(EXIT_FAILED if any(one.is_wrong for one in found) else EXIT_NOT_COMPARED) from None
    if as_json:
        say_json([asdict(partition) for partition in found])
    else:
        say(_summary(found))
    if any(partition.is_wrong for partition in found):
        raise typer.Exit(EXIT_FAILED)
    if any(partition.is_incomplete for partition in found):
        raise typer.Exit(EXIT_NOT_COMPARED)


async def _verify(
    settings: Settings, word: str | None, found: list[Verified], *, windows: bool, show: bool
) -> None:
    """Add the result of each partition to `found`, and, if `show`, print the result as soon as it is known."""
    from app.operate.verification import verify as verify_partitions

    shown = 0
    # The generator holds connections, and must be closed also when `say` fails because the reader of the output has gone.
    async with aclosing(verify_partitions(settings, word, windows=windows)) as partitions:
        async for partition in partitions:
            found.append(partition)
            if show:
                say(_line(partition))
                for differs in partition.differences[: WORDS_SHOWN - shown]:
                    say(f"  {differs.word!r}: counted {differs.counted:,}, recount {differs.recounted:,}")
                    shown += 1
                if (compared := partition.windows) is not None:
                    say(f"  {_windows_line(compared)}")
                    for window in compared.differences[: WORDS_SHOWN - shown]:
                        say(f"    {_window_difference(window)}")
                        shown += 1


def _line(partition: Verified) -> str:
    name = f"partition {partition.partition}"
    if partition.impossible:
        return f"{name}: cannot be verified: {partition.impossible}"
    if partition.position == partition.origin:
        return f"{name}: empty, nothing to compare"
    scope = f"{partition.words:,} words in offsets {partition.origin} to {partition.position} (exclusive)"
    if not partition.differs:
        return f"{name}: {scope} are right"
    totals = f"; totals differ: {partition.totals}" if partition.totals else ""
    return f"{name}: {len(partition.differences):,} of {scope} differ{totals}"


def _windows_line(windows: VerifiedWindows) -> str:
    if windows.impossible:
        return f"windows cannot be verified: {windows.impossible}"
    scope = f"{windows.counts:,} counts in {windows.windows:,} windows in offsets {windows.begin} to {windows.position} (exclusive)"
    left_out = ""
    if windows.left_out:
        left_out = f"; {windows.left_out:,} windows are left out, because former rules counted a part of them"
    if not windows.differs:
        return f"{scope} are right{left_out}"
    totals = f"; totals differ: {windows.totals}" if windows.totals else ""
    return f"{windows.differing:,} of {scope} differ{totals}{left_out}"


def _window_difference(differs: WindowDifference) -> str:
    unconfirmed = "" if differs.confirmed else ", a time that is not confirmed"
    where = f"{duration_text(differs.size_s)} from {differs.start}{unconfirmed}"
    return f"{differs.word!r} in {where}: counted {differs.counted:,}, recount {differs.recounted:,}"


def _summary(found: list[Verified]) -> str:
    windows = [partition.windows for partition in found if partition.windows is not None]
    compared_windows = [one for one in windows if not one.impossible]
    differing = sum(len(partition.differences) for partition in found) + sum(one.differing for one in windows)
    bad = sum(partition.is_wrong for partition in found)
    compared = sum(partition.position > partition.origin and not partition.impossible for partition in found)
    records = sum(partition.records for partition in found)
    occurrences = sum(partition.occurrences for partition in found)
    verdict = "nothing could be compared"
    if compared or compared_windows:
        verdict = "every count that could be compared is right"
    if bad:
        verdict = f"{differing:,} counts differ in {bad} partitions"
    if impossible := sum(bool(partition.impossible) for partition in found):
        verdict += f"; {impossible} partitions cannot be verified"
    if impossible := len(windows) - len(compared_windows):
        verdict += f"; windows of {impossible} partitions cannot be verified"
    counts = sum(one.counts for one in compared_windows)
    in_windows = f", and {counts:,} counts in windows" if windows else ""
    return f"{verdict}: {occurrences:,} words in {records:,} records counted again{in_windows}"
