import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bodies import Version
from app.reads.answers import PartitionStatus, RestoreStatus
from app.worker.metrics import Metrics
from tables.errors import PartitionsLostError
from tables.model.tally import Totals

REASONS = st.dictionaries(st.sampled_from(["null", "invalid_json", "missing_text"]), st.integers(0, 1000))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def flush(metrics: Metrics, totals: Totals) -> None:
    metrics.flushed(
        0, rows=1, words=totals.words, records=totals.records, duration_s=0.1, totals_delta=totals
    )


@given(st.lists(st.tuples(st.integers(0, 1000), REASONS, REASONS)))
def test_every_record_read_is_counted_skipped_or_dead_lettered(flushes):
    metrics = Metrics()
    for counted, skipped, dead in flushes:
        records = counted + sum(skipped.values()) + sum(dead.values())
        flush(metrics, Totals(records, counted, 3 * counted, skipped, dead))
    outcomes = {"counted": 0.0, "skipped": 0.0, "dead_lettered": 0.0}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "wordcount_records_total":
                outcomes[sample.labels["outcome"]] += sample.value
    assert outcomes["counted"] == sum(counted for counted, _, _ in flushes)
    assert outcomes["skipped"] == sum(sum(skipped.values()) for _, skipped, _ in flushes)
    assert value(metrics, "wordcount_records_read_total") == sum(outcomes.values())
    assert value(metrics, "wordcount_words_total") == 3 * outcomes["counted"]


def test_reasons_are_kept_apart():
    metrics = Metrics()
    flush(metrics, Totals(6, 1, 1, {"null": 2}, {"null": 3}, {"stop_word": 9}))
    assert value(metrics, "wordcount_records_total", outcome="skipped", reason="null") == 2
    assert value(metrics, "wordcount_records_total", outcome="dead_lettered", reason="null") == 3
    assert value(metrics, "wordcount_dropped_words_total", reason="stop_word") == 9


def test_counters_exist_before_the_first_record():
    metrics = Metrics()
    assert value(metrics, "wordcount_records_read_total") == 0
    assert value(metrics, "wordcount_records_total", outcome="counted", reason="") == 0
    assert value(metrics, "wordcount_words_total") == 0


def test_flushes_are_timed_and_sized():
    metrics = Metrics()
    metrics.flushed(3, rows=20, words=40, records=4, duration_s=0.2, totals_delta=Totals(4, 4, 40))
    assert value(metrics, "wordcount_flush_seconds_count") == 1
    assert value(metrics, "wordcount_flush_seconds_sum") == pytest.approx(0.2)
    assert value(metrics, "wordcount_flush_rows_sum") == 20
    assert value(metrics, "wordcount_flush_rows_bucket", le="10.0") == 0
    assert value(metrics, "wordcount_flush_rows_bucket", le="100.0") == 1


def test_failed_flushes_are_counted_by_error():
    metrics = Metrics()
    metrics.flush_failed(0, PartitionsLostError("gone"))
    assert value(metrics, "wordcount_flush_failures_total", error="PartitionsLostError") == 1


def test_restores_are_timed_and_sized():
    metrics = Metrics()
    metrics.restored(0, rows=1000, duration_s=2.0)
    metrics.restored(1, rows=500, duration_s=1.0)
    assert value(metrics, "wordcount_restored_rows_total") == 1500
    assert value(metrics, "wordcount_restore_seconds_count") == 2


def test_a_partition_is_in_one_state_until_it_is_released():
    metrics = Metrics()
    metrics.partition_state(4, "restoring")
    metrics.partition_state(4, "counting")
    metrics.partition_state(5, "restoring")
    states = {
        state: value(metrics, "wordcount_partition_state", partition="4", state=state)
        for state in ("restoring", "counting", "stopped")
    }
    assert states == {"restoring": 0, "counting": 1, "stopped": 0}
    metrics.partition_state(4, "released")
    assert value(metrics, "wordcount_partition_state", partition="4", state="counting") is None
    assert value(metrics, "wordcount_partition_state", partition="5", state="restoring") == 1


def test_position_and_lag_are_read_at_each_scrape():
    metrics = Metrics()
    partitions = {0: PartitionStatus("counting", 90, 100), 1: PartitionStatus("restoring")}
    metrics.watch(lambda: partitions, dict)
    assert value(metrics, "wordcount_position_offset", partition="0") == 90
    assert value(metrics, "wordcount_lag_records", partition="0") == 10
    assert value(metrics, "wordcount_lag_records", partition="1") is None
    partitions[0] = PartitionStatus("counting", 105, 100)
    assert value(metrics, "wordcount_position_offset", partition="0") == 105
    assert value(metrics, "wordcount_lag_records", partition="0") == 0


def test_a_restore_has_metrics_while_it_goes_on():
    metrics = Metrics()
    partitions = {3: PartitionStatus("restoring", restore=RestoreStatus(0.5, 100, None))}
    metrics.watch(lambda: partitions, dict)
    assert value(metrics, "wordcount_restore_ratio", partition="3") == 0.5
    assert value(metrics, "wordcount_restore_left_records", partition="3") == 100
    assert value(metrics, "wordcount_restore_left_seconds", partition="3") is None
    partitions[3] = PartitionStatus("restoring", restore=RestoreStatus(0.6, 80, 4.5))
    assert value(metrics, "wordcount_restore_left_seconds", partition="3") == 4.5
    partitions[3] = PartitionStatus("counting", 5, 5)
    assert value(metrics, "wordcount_restore_ratio", partition="3") is None


def test_two_instances_share_nothing():
    first, second = Metrics(), Metrics()
    flush(first, Totals(1, 1, 1))
    assert value(second, "wordcount_records_read_total") == 0


def test_failures_and_restores_are_counted():
    metrics = Metrics()
    metrics.flush_failed(0, PartitionsLostError("gone"))
    metrics.restored(0, rows=7, duration_s=0.2)
    assert value(metrics, "wordcount_flush_failures_total", error="PartitionsLostError") == 1
    assert value(metrics, "wordcount_restored_rows_total") == 7
    assert value(metrics, "wordcount_restore_seconds_count") == 1


def test_records_left_out_of_windows_are_counted_by_reason_and_size():
    metrics = Metrics()
    flush(metrics, Totals(9, 9, 9, untimed={"jump": 2, "missing_time": 1}, late={"60": 3, "3600": 1}))
    name = "wordcount_records_left_out_of_windows_total"
    assert value(metrics, name, reason="jump", size="") == 2
    assert value(metrics, name, reason="missing_time", size="") == 1
    assert value(metrics, name, reason="late", size="1m") == 3
    assert value(metrics, name, reason="late", size="1h") == 1
    assert value(metrics, "wordcount_records_read_total") == 9


def test_clients_of_streams_and_their_events_are_counted():
    metrics = Metrics()
    assert value(metrics, "wordcount_stream_clients") == 0
    for clients in (1, 2, 1):
        metrics.http.stream_clients(clients)
    metrics.http.stream_event("snapshot")
    for _ in range(2):
        metrics.http.stream_event("change")
    assert value(metrics, "wordcount_stream_clients") == 1
    assert value(metrics, "wordcount_stream_events_total", event="snapshot") == 1
    assert value(metrics, "wordcount_stream_events_total", event="change") == 2


def test_rebalances_are_timed():
    metrics = Metrics()
    metrics.rebalanced(duration_s=3.0)
    assert value(metrics, "wordcount_rebalance_seconds_count") == 1
    assert value(metrics, "wordcount_rebalance_seconds_sum") == 3.0


def test_versions_and_memory_are_shown():
    metrics = Metrics()
    metrics.describe(Version("1.2.3", "3.13.1", "0.15.3"), 805_306_368)
    versions = {"version": "1.2.3", "python": "3.13.1", "faust": "0.15.3"}
    assert value(metrics, "wordcount_build_info", **versions) == 1
    assert value(metrics, "wordcount_memory_budget_bytes") == 805_306_368


def test_requests_are_counted_by_route_and_status_and_timed_by_route():
    http = (metrics := Metrics()).http
    http.http_requested("/v1/top", "200", 0.02)
    http.http_requested("/v1/top", "503", 2.0)
    assert value(metrics, "wordcount_http_requests_total", route="/v1/top", status="200") == 1
    assert value(metrics, "wordcount_http_requests_total", route="/v1/top", status="503") == 1
    assert value(metrics, "wordcount_http_request_seconds_count", route="/v1/top") == 2
    assert value(metrics, "wordcount_http_request_seconds_sum", route="/v1/top") == pytest.approx(2.02)
