"""The word count of Pathway: it splits lines into words and counts them in memory; every change of a count goes to a file."""

from __future__ import annotations

import csv
from pathlib import Path

import pathway as pw
import run


def main() -> None:
    """Run until the end of the topic."""
    settings = run.settings()
    started = False

    def split(line: str) -> list[str]:
        nonlocal started
        if not started:
            started = True
            run.mark("first")
        return line.split()

    lines = pw.io.kafka.read(
        {
            "bootstrap.servers": run.text("SERVERS"),
            "group.id": run.text("ID"),
            "auto.offset.reset": "earliest",
        },
        topic=run.text("TOPIC"),
        format="plaintext",
        mode=settings["mode"],
        autocommit_duration_ms=int(settings["autocommit_duration_ms"]),
        autogenerate_key=True,
    )
    words = lines.select(word=pw.apply_with_type(split, list[str], lines.data)).flatten(pw.this.word)
    counts = words.groupby(words.word).reduce(words.word, count=pw.reducers.count())
    changes = Path(run.text("STATE")) / "changes.csv"
    pw.io.csv.write(counts, changes)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    run.mark("durable")

    found: dict[str, int] = {}
    with changes.open(encoding="utf-8", newline="") as file:
        for change in csv.DictReader(file):
            if change["diff"] == "1":
                found[change["word"]] = int(change["count"])
    run.write(found)


if __name__ == "__main__":
    main()
