from app.reads.answers import PartitionStatus
from tests.fakes.queries import PARTS


async def test_totals_account_for_every_record(client):
    reply = (await client.get("/v1/stats")).json()
    assert reply["records"] == 10
    assert reply["words"] == 8
    assert reply["records"] == (
        reply["counted"] + sum(reply["skipped"].values()) + sum(reply["dead_lettered"].values())
    )
    assert reply["dropped_words"] == {"stop_word": 4}
    assert (reply["as_of"], reply["complete"]) == ({"2": 123, "10": 7}, True)


async def test_a_partition_that_a_follower_answers_says_so_and_has_no_lag(client, queries):
    queries.status = {
        2: PartitionStatus("following", 123),
        10: PartitionStatus("stopped", 7, error="truncated"),
    }
    partitions = (await client.get("/v1/stats")).json()["partitions"]
    assert partitions == {
        "2": {"state": "following", "position": 123, "highwater": None, "lag_records": None},
        "10": {"state": "stopped", "position": 7, "highwater": None, "lag_records": None},
    }


async def test_each_partition_tells_state_position_and_lag_where_known(client):
    partitions = (await client.get("/v1/stats")).json()["partitions"]
    assert list(partitions) == ["2", "10"]
    assert partitions["2"] == {"state": "counting", "position": 123, "highwater": 130, "lag_records": 7}
    assert partitions["10"] == {
        "state": "restoring",
        "position": None,
        "highwater": None,
        "lag_records": None,
    }


async def test_a_partition_with_windows_tells_its_event_time(client, queries):
    queries.window_parts = PARTS
    partitions = (await client.get("/v1/stats")).json()["partitions"]
    assert {name: partitions["2"][name] for name in ("stream_time", "open_windows", "late", "untimed")} == {
        "stream_time": "2026-01-01T00:07:15Z",
        "open_windows": {"1m": 1},
        "late": {"1m": 4},
        "untimed": {"missing_time": 1},
    }
    assert partitions["10"]["stream_time"] == "2026-01-01T00:07:00Z"
    assert partitions["10"]["open_windows"] == {"1m": 2}  # 00:06 takes late records until 00:07:10.
