"""What /metrics says of the time and the open windows of a partition."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from app.worker.window_metrics import PartitionWindows, WindowGauges
from tables.model.event_clock import EventClock, Jump
from tables.model.windows import SizeRule, WindowRules, begun

WINDOWS = begun(WindowRules((SizeRule(60, 6, 86_400), SizeRule(3600, 300, 86_400))), 0)


def gauges(now_s: float, **clock: object) -> dict[str, float]:
    """Samples of partition 3, by name and size."""
    registry = CollectorRegistry()
    found = PartitionWindows(WINDOWS.at(EventClock(**clock)), {60: 2})
    registry.register(WindowGauges(lambda: {3: found}, lambda: now_s))
    samples = [sample for family in registry.collect() for sample in family.samples]
    assert {sample.labels["partition"] for sample in samples} == {"3"}
    return {sample.name + sample.labels.get("size", ""): sample.value for sample in samples}


def test_stream_time_is_told_and_how_far_it_is_behind() -> None:
    assert gauges(1_000_100.5, stream_ms=1_000_000_500) == {
        "wordcount_stream_time_seconds": 1_000_000.5,
        "wordcount_stream_time_behind_seconds": 100.0,
        "wordcount_unconfirmed_jump_records": 0,
        "wordcount_open_panes1m": 2,
        "wordcount_open_panes1h": 0,
    }
    assert gauges(1.0, stream_ms=3000)["wordcount_stream_time_behind_seconds"] == -2


def test_a_partition_without_a_time_has_no_stream_time_and_tells_its_jump() -> None:
    told = gauges(1.0, jump=Jump(7, 1, 2, 5))
    assert "wordcount_stream_time_seconds" not in told
    assert "wordcount_stream_time_behind_seconds" not in told
    assert told["wordcount_unconfirmed_jump_records"] == 5
