"""The word count of stock Faust: counts in a table on RocksDB with a changelog topic.

With `repartition=no` an agent counts the words of its own partitions, so that a word has a count per source partition. With
`repartition=yes` the agent sends each word to a second agent, as Faust's own example does.
"""

from __future__ import annotations

import asyncio

import faust
import run


def application() -> faust.App:
    """Return the app, which flushes, commits and writes the mark `durable` after the last word."""
    settings = run.settings()
    words_in_topic = int(run.text("WORDS"))
    app = faust.App(
        run.text("ID"),
        broker=f"kafka://{run.text('SERVERS')}",
        store=settings["store"],
        datadir=run.text("STATE"),
        topic_partitions=8,
        web_enabled=False,
    )
    lines = app.topic(run.text("TOPIC"), value_type=str, value_serializer="raw")
    counts = app.Table("counts", default=int)
    counted, started = 0, False

    async def finish() -> None:
        while app.producer.buffer.size:  # noqa: ASYNC110 - the buffer has no event for being empty
            await asyncio.sleep(0.001)
        await app.producer.flush()
        await app.commit(app.topics)
        run.mark("durable")

    def note(words: int) -> None:
        nonlocal counted
        counted += words
        if counted == words_in_topic:
            app.add_future(finish())

    def begin() -> None:
        nonlocal started
        if not started:
            started = True
            run.mark("first")

    if settings["repartition"] == "yes":
        words_topic = app.topic(
            f"{run.text('ID')}-words", key_type=str, value_type=str, partitions=8, internal=True
        )

        @app.agent(words_topic)
        async def count_words(words: faust.Stream[str]) -> None:
            async for word in words:
                counts[word] += 1
                note(1)

        @app.agent(lines)
        async def shuffle_words(stream: faust.Stream[str]) -> None:
            async for line in stream:
                begin()
                for word in line.split():
                    await count_words.send(key=word, value=word)

    else:

        @app.agent(lines)
        async def count_lines(stream: faust.Stream[str]) -> None:
            async for line in stream:
                begin()
                words = line.split()
                for word in words:
                    counts[word] += 1
                note(len(words))

    return app


if __name__ == "__main__":
    faust.Worker(application(), loglevel="error").execute_from_commandline()
