"""Times and windows of the lines of a comparison of windows."""

from __future__ import annotations

import pytest

from bench.event_time import SIZE_S, START_MS, EventTime, pane, windows
from bench.peers.__main__ import main
from bench.peers.systems import systems, windowed_systems


def test_times_ascend_by_the_rate_and_the_end_of_the_last_window_follows() -> None:
    time = EventTime(lines=130, records_per_s=2)
    assert [time.time_ms(number) - START_MS for number in (0, 1, 2, 129)] == [0, 500, 1000, 64_500]
    assert {time.time_ms(number) - START_MS for number in range(130, 138)} == {2 * SIZE_S * 1000}


@pytest.mark.parametrize(("lines", "expected"), [(1, 1), (120, 1), (121, 2), (240, 2), (241, 3)])
def test_a_window_has_the_lines_of_its_seconds(lines: int, expected: int) -> None:
    assert windows(lines, records_per_s=2) == expected


def test_words_are_counted_in_the_window_of_their_line_wherever_a_chunk_ends() -> None:
    time = EventTime(lines=125, records_per_s=1)
    chunks = [[b"a b"] * 50, [b"a"] * 30, [b"a c"] * 45]
    assert list(time.counted(chunks)) == chunks
    assert time.counts() == {
        pane("a", START_MS): 60,
        pane("b", START_MS): 50,
        pane("a", START_MS + 60_000): 60,
        pane("c", START_MS + 60_000): 40,
        pane("a", START_MS + 120_000): 5,
        pane("c", START_MS + 120_000): 5,
    }


def test_a_pane_is_named_by_its_word_and_the_beginning_of_its_window() -> None:
    assert pane("the", START_MS + 60_000) == "the 2025-01-01T00:01:00.000+00:00"


def test_windows_are_counted_by_systems_that_also_count_without_windows() -> None:
    names = [system.name for system in windowed_systems()]
    assert names == ["wordcount", "kafka-streams", "flink-rocksdb"]
    assert set(names) <= {system.name for system in systems()}


@pytest.mark.parametrize("arguments", [["--windowed", "faust"], ["--windowed", "nobody"]])
def test_a_system_without_windows_is_refused(arguments: list[str]) -> None:
    with pytest.raises(
        SystemExit, match=r"no such system: \w+; there are: wordcount, kafka-streams, flink-rocksdb"
    ):
        main(arguments, {})


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_a_rate_that_is_no_positive_number_is_refused(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--windowed", f"--records-per-s={number}"], {})
    assert f"{number!r} is no number of records" in capsys.readouterr().err
