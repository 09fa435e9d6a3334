"""Gauges of partitions: sizes, and since when a position is behind."""

from hypothesis import given
from hypothesis import strategies as st

from app.reads.answers import PartitionStatus
from app.worker.metrics import Metrics
from app.worker.partition_metrics import MOST_ENDS, LagTimes


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_lag_begins_when_a_record_is_known_and_ends_when_it_is_counted() -> None:
    lags = LagTimes(clock := Clock())
    assert lags.lag_s(0, 5, 5) == 0
    assert lags.lag_s(0, 5, 9) == 0
    clock.now_s += 10
    assert lags.lag_s(0, 8, 20) == 10
    clock.now_s += 5
    assert lags.lag_s(0, 9, 30) == 5
    clock.now_s += 1
    assert lags.lag_s(0, 30, 30) == 0


def test_partitions_lag_apart_and_are_forgotten_when_they_go() -> None:
    lags = LagTimes(clock := Clock())
    lags.lag_s(0, 0, 1)
    clock.now_s += 4
    lags.lag_s(1, 0, 1)
    clock.now_s += 1
    assert (lags.lag_s(0, 0, 1), lags.lag_s(1, 0, 1)) == (5, 1)
    lags.forget_others([1])
    assert (lags.lag_s(0, 0, 1), lags.lag_s(1, 0, 1)) == (0, 1)


def test_a_topic_that_is_shorter_than_before_does_not_lag_by_what_it_had() -> None:
    lags = LagTimes(clock := Clock())
    lags.lag_s(0, 0, 1_000)
    clock.now_s += 60
    assert lags.lag_s(0, 0, 10) == 0


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 60)), max_size=4 * MOST_ENDS)
)
def test_lag_is_never_too_small_and_memory_is_bounded(steps: list[tuple[int, int, int]]) -> None:
    """Compared with a list of everything that was ever seen."""
    lags = LagTimes(clock := Clock())
    position = end = 0
    seen: list[tuple[int, float]] = []
    for arrived, counted, seconds in steps:
        clock.now_s += seconds
        end += arrived
        position = min(end, position + counted)
        if not seen or seen[-1][0] < end:
            seen.append((end, clock.now_s))
        known = next((clock.now_s - since for upto, since in seen if upto > position), 0.0)
        assert lags.lag_s(0, position, end) >= known
        assert len(lags._seen[0]) <= MOST_ENDS


def test_gauges_are_read_at_each_scrape() -> None:
    metrics = Metrics()
    partitions = {0: PartitionStatus("counting", 90, 100), 1: PartitionStatus("restoring")}
    metrics.watch(lambda: partitions, dict, lambda: {0: 4096})
    value = metrics.registry.get_sample_value
    assert value("wordcount_lag_seconds", {"partition": "0"}) == 0
    assert value("wordcount_lag_seconds", {"partition": "0"}) > 0  # type: ignore[operator] - the clock has gone on
    assert value("wordcount_lag_seconds", {"partition": "1"}) is None
    assert value("wordcount_store_bytes", {"partition": "0"}) == 4096
    assert value("wordcount_store_bytes", {"partition": "1"}) is None
    partitions[0] = PartitionStatus("counting", 100, 100)
    assert value("wordcount_lag_seconds", {"partition": "0"}) == 0
