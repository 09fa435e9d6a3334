"""How far clients of streams are behind, and how runs with clients are compared with runs without them."""

from __future__ import annotations

import time

from bench import stream_crowd, streams
from bench.stream_crowd import Client, Crowd
from bench.stream_tables import live_table, streams_table


class Clock:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


def event(*offsets: int) -> bytes:
    positions = ",".join(f"{number}:{offset}" for number, offset in enumerate(offsets))
    return f"id: {positions}\nevent: change\ndata: {{}}\n\n".encode()


def crowd_of(monkeypatch, clients: int) -> tuple[Crowd, Clock]:
    clock = Clock()
    monkeypatch.setattr(stream_crowd, "time", clock)
    return Crowd(clients), clock


def test_a_client_is_behind_from_newer_positions_to_its_next_event(monkeypatch):
    crowd, clock = crowd_of(monkeypatch, 1)
    (client,) = crowd.clients
    crowd.visible({"0": 5, "1": 5})
    client.data_received(b"HTTP/1.1 200 OK\r\n\r\n2a\r\n" + event(5, 5))
    clock.now += 1
    crowd.visible({"0": 5, "1": 5})  # Nothing newer: the client is not behind.
    clock.now += 1
    crowd.visible({"0": 6, "1": 5})
    clock.now += 0.25
    assert crowd.behind_of(client.position, clock.now) == 0.25
    client.data_received(event(6, 5))
    assert crowd.behind == [0.25]
    assert crowd.behind_of(client.position, clock.now + 9) == 0


def test_nothing_is_measured_before_all_clients_have_an_event_and_parts_are_put_together(monkeypatch):
    crowd, clock = crowd_of(monkeypatch, 2)
    first, second = crowd.clients
    crowd.visible({"0": 1})
    first.data_received(event(1))
    crowd.visible({"0": 2})
    first.data_received(event(2))
    assert not crowd.began.is_set()
    whole = event(2)
    second.data_received(whole[:9])
    second.data_received(whole[9:] + b"\r\n: heartbeat\n\nevent: unavailable\ndata: {}\n\n")
    assert (crowd.began.is_set(), second.position, crowd.unavailable) == (True, 2, 1)
    crowd.visible({"0": 3})
    clock.now += 2
    second.data_received(event(3))
    assert crowd.behind == [2]
    second.connection_lost(None)
    assert crowd.closed == 1


def test_a_client_that_knows_more_than_was_asked_for_is_not_behind():
    crowd = Crowd(1)
    crowd.visible({"0": 3})
    assert crowd.behind_of(4, time.perf_counter()) == 0
    assert isinstance(crowd.clients[0], Client)


def test_runs_with_clients_are_compared_with_those_without():
    def run(words_per_s: float, rss_mb: float, told: dict) -> dict:
        return {
            "words_per_s": words_per_s,
            "worker_cores": 1.0,
            "rss_mb": rss_mb,
            "visible_p99_s": 0.3,
            "told": told,
            "verified": True,
        }

    told = {"told": 3, "behind": [0.1, 0.2, 0.3], "longest_s": 0.9, "unavailable": 1, "closed": 2}
    result = streams._compared("steady", [run(2e6, 300, {})] * 3, [run(1.8e6, 400, told)] * 3)
    assert (result["share_of_rate_without"], result["events"], result["behind_max_ms"]) == (0.9, 9, 900)
    assert (result["unavailable"], result["closed"], result["verified"]) == (3, 6, True)
    *_, row = streams_table({"streams": [result]}).splitlines()
    assert row == (
        "| 2 M words/s | 1,000 | 2.00 M | 1.80 M (90%) | 1.00 | 1.00 | +100 MiB | 9 | 200 | 300 | 900 | 9 | yes |"
    )


def test_what_was_not_measured_is_said_to_be_so():
    assert streams_table({}) == live_table({}) == "(not measured yet)"
