"""The word count of Quix Streams: a topic repartitions the lines by word; counts are in RocksDB with a changelog topic."""

from __future__ import annotations

import run
from quixstreams import Application, State


def main() -> None:
    """Run until all words are counted and the last checkpoint is committed."""
    settings = run.settings()
    app = Application(
        broker_address=run.text("SERVERS"),
        consumer_group=run.text("ID"),
        auto_offset_reset="earliest",
        state_dir=run.text("STATE"),
        commit_interval=float(settings["commit_interval"]),
        processing_guarantee=settings["processing_guarantee"],
        loglevel="WARNING",
    )
    words_in_topic, counted, started = int(run.text("WORDS")), 0, False

    def split(line: str) -> list[str]:
        nonlocal started
        if not started:
            started = True
            run.mark("first")
        return line.split()

    def count(_: str, state: State) -> None:
        nonlocal counted
        state.set("count", state.get("count", 0) + 1)
        counted += 1
        if counted == words_in_topic:
            app.stop()

    lines = app.dataframe(app.topic(run.text("TOPIC"), value_deserializer="str"))
    strings = {"value_serializer": "str", "value_deserializer": "str", "key_serializer": "str"}
    words = lines.apply(split, expand=True).group_by(
        lambda word: word, name="word", key_deserializer="str", **strings
    )
    words.update(count, stateful=True)
    # `run` returns after its last checkpoint: the changelog is flushed, the stores are written, the offsets are committed.
    app.run(collect=False)
    run.mark("durable")


if __name__ == "__main__":
    main()
