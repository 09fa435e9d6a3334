"""The word count of Bytewax: a stateful step per word; recovery snapshots in SQLite hold the counts and the offsets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import run
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main


class Count(StatefulBatchLogic[None, int, int]):
    """The count of one word; the step emits the count at the end of the topic."""

    def __init__(self, count: int | None) -> None:
        self._count = count or 0

    def on_batch(self, values: list[None]) -> tuple[list[int], bool]:
        self._count += len(values)
        return [], self.RETAIN

    def on_eof(self) -> tuple[list[int], bool]:
        return [self._count], self.RETAIN

    def snapshot(self) -> int:
        return self._count


class Counts(StatelessSinkPartition[tuple[str, int]], DynamicSink[tuple[str, int]]):
    """A sink that keeps the counts for the comparison."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Counts:
        return self

    def write_batch(self, items: list[tuple[str, int]]) -> None:
        self.found.update(items)


def main() -> None:
    """Run until the end of the topic."""
    settings = run.settings()
    started = False

    def split(messages: list[KafkaSourceMessage[bytes, bytes]]) -> list[tuple[str, None]]:
        nonlocal started
        if messages and not started:
            started = True
            run.mark("first")
        return [(word, None) for message in messages for word in message.value.decode().split()]

    flow = Dataflow("word_count")
    source = KafkaSource(
        [run.text("SERVERS")], [run.text("TOPIC")], tail=False, batch_size=int(settings["batch_size"])
    )
    counts = Counts()
    words = op.flat_map_batch("split", op.input("lines", flow, source), split)
    op.output("counts", op.stateful_batch("count", words, Count), counts)

    snapshots = Path(run.text("STATE"))
    init_db_dir(snapshots, 1)
    interval = timedelta(seconds=float(settings["epoch_interval_s"]))
    cli_main(flow, epoch_interval=interval, recovery_config=RecoveryConfig(snapshots))
    run.mark("durable")
    run.write(counts.found)


if __name__ == "__main__":
    main()
