"""`wordcount verify`: every count against a recount from the log, while workers count."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.cli_options import AsJson, BootstrapServers, Group, Topic

if TYPE_CHECKING:
    from app.settings import Settings
    from app.verification import Verified

EXIT_DIFFERENT: Final = 1
EXIT_IMPOSSIBLE: Final = 3
WORDS_SHOWN: Final = 20


def verify(
    word: Annotated[
        str | None, typer.Option("--word", metavar="WORD", help="Compare only the count of this word.")
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    topic: Topic = None,
    group: Group = None,
    as_json: AsJson = False,
) -> None:
    """Count the input again and compare every count; workers may go on meanwhile.

    Exit code 0: all are equal; 1: some differ; 3: none differs, but some cannot be compared.
    """
    import msgspec

    from app.settings import load_settings

    settings = load_settings(bootstrap_servers=bootstrap_servers, topic=topic, group=group)
    found = asyncio.run(_verify(settings, word, show=not as_json))
    if as_json:
        typer.echo(msgspec.json.encode([asdict(partition) for partition in found]))
    else:
        typer.echo(_summary(found))
    if any(partition.differs for partition in found):
        raise typer.Exit(EXIT_DIFFERENT)
    if any(partition.impossible for partition in found):
        raise typer.Exit(EXIT_IMPOSSIBLE)


async def _verify(settings: Settings, word: str | None, *, show: bool) -> list[Verified]:
    from app.verification import verify as verify_partitions

    found = []
    shown = 0
    async for partition in verify_partitions(settings, word):
        found.append(partition)
        if show:
            typer.echo(_line(partition))
            for difference in partition.differences[: WORDS_SHOWN - shown]:
                typer.echo(
                    f"  {difference.word!r}: counted {difference.counted:,}, recount {difference.recounted:,}"
                )
                shown += 1
    return found


def _line(partition: Verified) -> str:
    name = f"partition {partition.partition}"
    if partition.impossible:
        return f"{name}: cannot be verified: {partition.impossible}"
    scope = f"{partition.words:,} words in offsets {partition.origin} to {partition.position} (exclusive)"
    if not partition.differs:
        return f"{name}: {scope} are right"
    totals = f"; totals differ: {partition.totals}" if partition.totals else ""
    return f"{name}: {len(partition.differences):,} of {scope} differ{totals}"


def _summary(found: list[Verified]) -> str:
    differing = sum(len(partition.differences) for partition in found)
    bad = sum(partition.differs for partition in found)
    impossible = sum(bool(partition.impossible) for partition in found)
    records = sum(partition.records for partition in found)
    occurrences = sum(partition.occurrences for partition in found)
    verdict = (
        f"{differing:,} counts differ in {bad} partitions"
        if bad
        else "every count that could be compared is right"
    )
    missing = f"; {impossible} partitions cannot be verified" if impossible else ""
    return f"{verdict}{missing}: {occurrences:,} words in {records:,} records counted again"
