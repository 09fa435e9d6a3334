"""The systems that are compared, each with its fastest settings and with its guarantee under these settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.event_time import SIZE_S, pane
from bench.peers import provisions
from bench.peers.measures import Kept, marked, on_java, on_python, windowed_wordcount, wordcount
from bench.peers.system import System

TEN_MILLION = 1_000_000
"""Number of lines of ten words that make ten million words."""

_CENTURY_MS = "3155760000000"


def systems() -> tuple[System, ...]:
    """Return the systems in the order in which a round runs them."""
    return (*_wordcount(), *_on_the_jvm(), *_on_python())


def windowed_systems() -> tuple[System, ...]:
    """Return the systems that count per word and window, in the order in which a round runs them."""
    counting = {system.name: system for system in _on_the_jvm()}
    streams, flink = counting["kafka-streams"], counting["flink-rocksdb"]
    (ours,) = _wordcount()
    return (
        replace(
            ours,
            guarantee="exactly once, totals and windows alike: changelog topic acknowledged by all replicas, position committed, "
            "RocksDB written",
            settings={
                "profile": "whitespace",
                "processes": "1",
                "WORDCOUNT_WINDOWS": f"{SIZE_S // 60}m",
                "all others": "default",
            },
            measure=windowed_wordcount,
        ),
        replace(
            streams,
            # A repartition topic gets the words of some partitions long after later words of others: without grace they are left out.
            # The records of the changelog have event times; by default the broker removes them one day after their windows.
            settings={
                "grace_s": "86400",
                **streams.settings,
                "windowstore.changelog.additional.retention.ms": _CENTURY_MS,
            },
            measure=marked(
                on_java("kafka-streams", "KafkaStreamsWindowedWordCount"),
                Kept("{0}-counts-changelog", _pane_in_store),
                _window_and_grace,
            ),
            prepare=partial(provisions.class_path, "kafka-streams", "KafkaStreamsWindowedWordCount"),
        ),
        replace(
            flink,
            guarantee="exactly once for its state: incremental checkpoints every second; "
            "the topic of the counts gets each window at least once",
            clock="all windows are emitted and acknowledged by the topic, and the savepoint that is then taken is complete",
            measure=marked(
                on_java("flink", "FlinkWindowedWordCount"),
                Kept("{0}-counts", _pane_emitted, made_before=True),
                _window_size,
            ),
            prepare=partial(provisions.class_path, "flink", "FlinkWindowedWordCount"),
        ),
    )


def expected_ratios() -> Mapping[str, float]:
    """Return, by case, the least multiple of the case's words per second that Wordcount is expected to count."""
    return {
        "kafka-streams": 14,
        "flink-rocksdb": 9,
        "flink-heap": 1.9,
        "flink-heap-warm": 1.3,
        "faust": 800,
        "pathway": 5,
    }


def expected_windowed_ratios() -> Mapping[str, float]:
    """Return, by system of `windowed_systems`, the least multiple of its words per second that Wordcount is expected to count."""
    return {"kafka-streams": 8, "flink-rocksdb": 8}


def _wordcount() -> tuple[System, ...]:
    return (
        System(
            name="wordcount",
            title="Wordcount",
            version=version("wordcount"),
            lines=TEN_MILLION,
            runs=5,
            guarantee="exactly once: changelog topic acknowledged by all replicas, position committed, RocksDB written",
            clock="/v1/stats shows all records, which it does once they are durable",
            settings={"profile": "whitespace", "processes": "1", "all others": "default"},
            measure=wordcount,
        ),
    )


def _on_the_jvm() -> tuple[System, ...]:
    flink = provisions.jar_version_of("flink", "flink-core")
    checkpointed = {
        "execution.checkpointing.interval": "1 s",
        "execution.checkpointing.incremental": "true",
        "pipeline.object-reuse": "true",
        "jvm": "-Xmx2g",
    }
    savepoint = "the savepoint that is taken when all words are counted is complete"
    prepare_flink = partial(provisions.class_path, "flink", "FlinkWordCount")
    return (
        System(
            name="kafka-streams",
            title="Kafka Streams",
            version=provisions.jar_version_of("kafka-streams", "kafka-streams"),
            lines=TEN_MILLION,
            runs=5,
            guarantee="at least once: changelog topic acknowledged and offsets committed, RocksDB written; "
            "words since the last commit are counted twice after a crash",
            clock="closed: caches flushed, changelog acknowledged, offsets committed",
            settings={
                "auto.offset.reset": "earliest",
                "num.stream.threads": "2",
                "processing.guarantee": "at_least_once",
                "statestore.cache.max.bytes": "134217728",
                "topology.optimization": "all",
                "jvm": "-Xmx2g",
            },
            measure=marked(
                on_java("kafka-streams", "KafkaStreamsWordCount"), Kept("{0}-counts-changelog", _long)
            ),
            prepare=partial(provisions.class_path, "kafka-streams", "KafkaStreamsWordCount"),
        ),
        System(
            name="flink-rocksdb",
            title="Flink DataStream, RocksDB",
            version=flink,
            lines=TEN_MILLION,
            runs=5,
            guarantee="exactly once for its state: incremental checkpoints every second",
            clock=savepoint,
            settings={
                "state.backend.type": "rocksdb",
                "parallelism.default": "2",
                "taskmanager.memory.managed.size": "512m",
                **checkpointed,
            },
            measure=marked(on_java("flink", "FlinkWordCount")),
            prepare=prepare_flink,
        ),
        System(
            name="flink-heap",
            title="Flink DataStream, heap",
            version=flink,
            lines=TEN_MILLION,
            runs=5,
            guarantee="exactly once for its state, which must fit into memory: full checkpoints every second",
            clock=savepoint,
            settings={"state.backend.type": "hashmap", "parallelism.default": "1", **checkpointed},
            measure=marked(on_java("flink", "FlinkWordCount")),
            prepare=prepare_flink,
            cases=(("flink-heap", "cold"), ("flink-heap-warm", "warm")),
        ),
    )


def _on_python() -> tuple[System, ...]:
    faust = version("faust-streaming")
    faust_clock = "changelog flushed, offsets committed"
    return (
        System(
            name="pathway",
            title="Pathway",
            version=provisions.python_version_of("pathway", "pathway"),
            lines=TEN_MILLION,
            runs=5,
            guarantee="none: counts are in memory; the changes are written to a file",
            clock="the last change is written",
            settings={"mode": "static", "autocommit_duration_ms": "1500"},
            measure=marked(on_python("pathway", "pathway_count.py")),
            prepare=partial(provisions.interpreter, "pathway"),
        ),
        System(
            name="faust",
            title="stock Faust",
            version=faust,
            lines=2_000,
            runs=5,
            guarantee="at least once in its documents; words may be counted twice or lost at a crash: "
            "changelog topic acknowledged later, RocksDB written",
            clock=faust_clock,
            settings={"store": "rocksdb://?driver=rocksdict", "repartition": "no"},
            measure=marked(on_python(None, "faust_count.py"), Kept("{0}-counts-changelog", _faust)),
        ),
        System(
            name="faust-example",
            title="stock Faust as in its example, with a topic by word",
            version=faust,
            lines=2_000,
            runs=1,
            guarantee="as above",
            clock=faust_clock,
            settings={"store": "rocksdb://?driver=rocksdict", "repartition": "yes"},
            measure=marked(on_python(None, "faust_count.py"), Kept("{0}-counts-changelog", _faust)),
        ),
        System(
            name="pyflink-sql",
            title="Flink SQL from Python, heap",
            version=provisions.python_version_of("pyflink", "apache-flink"),
            lines=TEN_MILLION,
            runs=1,
            guarantee="exactly once for its state: full checkpoints every second; the upsert topic gets changes at least once",
            clock="the job has ended, with its last checkpoint",
            settings={
                "state.backend.type": "hashmap",
                "parallelism.default": "2",
                "execution.checkpointing.interval": "1 s",
                "table.exec.mini-batch.enabled": "true",
                "table.exec.mini-batch.allow-latency": "1 s",
                "table.exec.mini-batch.size": "50000",
                "jvm": "-Xmx2g",
            },
            measure=marked(
                on_python("pyflink", "pyflink_count.py"),
                Kept("{0}-counts", _long, made_before=True),
                _pyflink,
            ),
            prepare=_prepare_pyflink,
        ),
        System(
            name="quix",
            title="Quix Streams",
            version=provisions.python_version_of("quix", "quixstreams"),
            lines=20_000,
            runs=2,
            guarantee="at least once: changelog topic acknowledged and offsets committed, RocksDB written",
            clock="stopped at the last word, with its last checkpoint",
            settings={"processing_guarantee": "at-least-once", "commit_interval": "5"},
            measure=marked(
                on_python("quix", "quix_count.py"),
                Kept("changelog__{0}--repartition.{1}.word--default", _quix),
            ),
            prepare=partial(provisions.interpreter, "quix"),
        ),
        System(
            name="bytewax",
            title="Bytewax",
            version=provisions.python_version_of("bytewax", "bytewax"),
            lines=100_000,
            runs=3,
            guarantee="exactly once for its state: snapshots with offsets in SQLite on this machine's disk every second",
            clock="ended, with its last snapshot",
            settings={"epoch_interval_s": "1", "batch_size": "1000"},
            measure=marked(on_python("bytewax", "bytewax_count.py")),
            prepare=partial(provisions.interpreter, "bytewax"),
        ),
    )


def _prepare_pyflink() -> None:
    provisions.interpreter("pyflink")
    provisions.jar_files("pyflink")


def _pyflink(system: System, folder: Path) -> dict[str, str]:
    return {
        "FLINK_LOG_DIR": str(folder / "logs"),
        "JAVA_HOME": provisions.java()[1],
        "JVM_ARGS": system.settings["jvm"],
        "PEER_JARS": ";".join(path.as_uri() for path in provisions.jar_files("pyflink")),
    }


def _window_size(_system: System, _folder: Path) -> dict[str, str]:
    return {"PEER_WINDOW_S": str(SIZE_S)}


def _window_and_grace(system: System, folder: Path) -> dict[str, str]:
    return {**_window_size(system, folder), "PEER_GRACE_S": system.settings["grace_s"]}


def _long(key: bytes, value: bytes | None) -> tuple[str, int] | None:
    return None if value is None else (key.decode(), int.from_bytes(value, "big", signed=True))


def _pane_in_store(key: bytes, value: bytes | None) -> tuple[str, int] | None:
    """Decode a record of the changelog of a window store: after the word come the beginning of the window and a number in 4 bytes."""
    return _pane_emitted(key[:-4], value)


def _pane_emitted(key: bytes, value: bytes | None) -> tuple[str, int] | None:
    if value is None:
        return None
    start_ms = int.from_bytes(key[-8:], "big", signed=True)
    return pane(key[:-8].decode(), start_ms), int.from_bytes(value, "big", signed=True)


def _faust(key: bytes, value: bytes | None) -> tuple[str, int] | None:
    return None if value is None else (json.loads(key), json.loads(value))


def _quix(key: bytes, value: bytes | None) -> tuple[str, int] | None:
    return None if value is None else (json.loads(key.rpartition(b"|")[0]), json.loads(value))
