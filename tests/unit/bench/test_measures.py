import math
from collections import Counter
from pathlib import Path

from rocksdict import Cache

from bench.flame import added_up
from bench.latency import Samples
from bench.usage import LoopDelays
from bench.verify import newest, stores_right
from tables.model.rows import Marker, StoreState
from tables.store.partition_store import PartitionStore
from tests.fakes.rows import pack_row


def delays(within_50_ms: int, within_100_ms: int, total: int, longest_s: float) -> LoopDelays:
    return LoopDelays({0.05: within_50_ms, 0.1: within_100_ms, math.inf: total}, longest_s)


def test_stalls_are_those_since_the_earlier_look():
    assert delays(100, 103, 103, 0.08).stalls_since(delays(40, 42, 42, 0.07)) == (1, 0.08)
    assert delays(100, 102, 103, 0.8).stalls_since(delays(40, 42, 42, 0.07)) == (1, 0.8)


def test_the_longest_delay_is_known_to_its_bucket_where_an_earlier_one_was_longer():
    assert delays(100, 102, 102, 0.09).stalls_since(delays(40, 41, 41, 0.09)) == (1, 0.09)
    assert delays(100, 101, 101, 0.09).stalls_since(delays(40, 41, 41, 0.09)) == (0, 0.05)


def test_samples_run_from_when_a_batch_was_due_to_the_answer_that_has_it():
    samples = Samples()
    samples.add(0, 100, due=1.0)
    samples.add(0, 200, due=2.0)
    samples.add(1, 50, due=2.0)
    samples.answered({"0": 150, "1": 49}, now=3.0)
    assert samples.seen == [(1.0, 2.0)]
    samples.answered({"0": 200, "1": 50, "2": 7}, now=5.0)
    assert samples.seen == [(1.0, 2.0), (2.0, 3.0), (2.0, 3.0)]
    assert not any(samples.awaited.values())


def test_samples_of_a_profile_are_added_up_by_function():
    alone, within = added_up(
        [
            "main (a.py:1);work (b.py:7) 3",
            "main (a.py:2);work (b.py:9);work (b.py:7) 2",
            "main (a.py:2) 1",
            "main (a.py:1);_worker (concurrent/futures/thread.py:81) 9",
        ]
    )
    assert alone == {"work (b.py)": 5, "main (a.py)": 1}
    assert within == {"work (b.py)": 5, "main (a.py)": 6}


def test_a_word_too_many_one_missing_and_a_wrong_count_are_noticed_in_stores(tmp_path: Path):
    rows = [{b"a": 1, b"b": 2}, {b"b": 3, b"c": 4}]
    for number, words in enumerate(rows):
        store = PartitionStore(tmp_path / str(number), Cache(1 << 20))
        state = StoreState(
            marker=Marker(topic="t", profile="p", origin=0, position=9), examined=1, max_upto=9
        )
        store.commit(store.stage(sorted(words), [pack_row(words[word], 9) for word in sorted(words)]), state)
        store.close()
    folders = [tmp_path / "0", tmp_path / "1"]
    truth = Counter({b"a": 1, b"b": 5, b"c": 4})
    assert stores_right(folders, truth)
    assert not stores_right(folders[:1], truth)
    assert not stores_right(folders, truth | Counter({b"d": 1}))
    assert not stores_right(folders, truth | Counter({b"a": 2}))
    assert not stores_right(folders, Counter({b"a": 1, b"b": 5}))


def test_of_two_stores_of_a_partition_the_furthest_is_taken(tmp_path: Path):
    for worker, position in (("first", 9), ("second", 7)):
        store = PartitionStore(tmp_path / worker / "0", Cache(1 << 20))
        marker = Marker(topic="t", profile="p", origin=0, position=position)
        store.commit(store.stage([], []), StoreState(marker=marker, examined=1, max_upto=position))
        store.close()
    folders = [tmp_path / "second" / "0", tmp_path / "first" / "0"]
    assert newest(folders) == newest(folders[::-1]) == [tmp_path / "first" / "0"]
