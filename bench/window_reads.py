"""The latency of questions about windows to one idle worker: the top words of closed minutes, and a word over 1,440 minutes.

Nothing that was asked for before is asked for by the first question about a window; how long the slowest of these took is told apart.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from app.local.worker import LocalWorker
from bench.asking import percentiles
from bench.rig import Rig, stop_cleanly
from bench.throughput import wait_answering, wait_counted
from bench.windows import TimedTopic, load_timed

TOP_LINES, TOP_RECORDS_PER_S = 3_000_000, 16_667
"""Three minutes of a million lines of ten words: nearly all of the 200,000 words occur in each minute."""

SERIES_LINES, SERIES_MINUTES = 1_440_000, 1_440
"""A day of minutes with 10,000 words each."""

QUESTIONS = 400
_SIZE_S = 60
_K = 100


def measure_window_reads(rig: Rig) -> list[dict[str, Any]]:
    """Return a result for the top words of a closed minute, and one for the series of a word."""
    topic = load_timed(rig, TOP_LINES, TOP_RECORDS_PER_S)
    minutes = sorted(start for size, start in topic.windows if size == _SIZE_S)[:-1]
    tops = [f"/v1/windows/1m/top?at={_utc(start)}&k={_K}" for start in minutes]
    results = [
        _asked(
            rig,
            topic,
            "top",
            tops,
            {
                path: _most_frequent(topic.windows[_SIZE_S, start])
                for path, start in zip(tops, minutes, strict=True)
            },
        )
    ]
    topic = load_timed(rig, SERIES_LINES, SERIES_LINES / (SERIES_MINUTES * _SIZE_S))
    words = [word.decode() for word, _ in topic.truth.most_common(2000)[::5]]
    starts = sorted(start for size, start in topic.windows if size == _SIZE_S)
    span = f"size=1m&from={_utc(starts[0])}&to={_utc(starts[-1] + _SIZE_S)}"
    series = {f"/v1/words/{quote(word)}/windows?{span}": word.encode() for word in words}
    truth = {path: [topic.windows[_SIZE_S, start][word] for start in starts] for path, word in series.items()}
    return [*results, _asked(rig, topic, "series", list(series), truth)]


def _asked(
    rig: Rig, topic: TimedTopic, name: str, paths: Sequence[str], truth: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Let a worker count the topic, ask it the questions of `paths` in turn, and compare the answers with `truth`."""
    group = f"window-reads-{name}"
    settings = {"WORDCOUNT_WINDOWS": "1m", "WORDCOUNT_RETENTION": "366d"}
    with rig.worker(topic.name, group, further=settings) as worker:
        wait_answering(worker)
        wait_counted(worker, topic.records)
        seconds, first, verified = [], dict[str, float](), True
        with httpx.Client(base_url=worker.url, timeout=30) as client:
            for number in range(QUESTIONS):
                path = paths[number % len(paths)]
                begun = time.perf_counter()
                answer = client.get(path)
                seconds.append(time.perf_counter() - begun)
                first.setdefault(path, seconds[-1])
                answer.raise_for_status()
                verified = verified and _is_true(name, answer.json(), truth[path])
        rows = _rows(worker)
        stop_cleanly(worker)
    windows = sum(size == _SIZE_S for size, _ in topic.windows)
    words = sum(len(counts) for (size, _), counts in topic.windows.items() if size == _SIZE_S) // windows
    return {
        "name": name,
        "windows": windows if name == "series" else len(paths),
        "words_per_window": words,
        "partitions": rows,
        **percentiles(seconds),
        "first_max_ms": round(max(first.values()) * 1000, 1),
        "verified": verified,
    }


def _rows(worker: LocalWorker) -> int:
    return len(worker.ask("/v1/stats")["as_of"])


def _most_frequent(counts: Counter[bytes]) -> list[tuple[bytes, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_K]


def _is_true(name: str, answer: Mapping[str, Any], truth: Sequence[Any]) -> bool:
    if name == "top":
        found = [(one["word"].encode(), one["count"]) for one in answer["words"]]
        return bool(answer["exact"]) and found == truth
    return [one["count"] for one in answer["windows"]] == truth


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
