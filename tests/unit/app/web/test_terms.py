"""What a client demands of an answer reaches the counts, and what nobody can demand is refused by name."""

import pytest

from app.reads.answers import WHOLE, Terms

COUNTING = [
    *("/v1/words/fox", "/v1/words", "/v1/top", "/v1/stats", "/count/fox/"),
    *(
        "/state/keyvalue/word-count/fox",
        "/state/keyvalues/word-count/all",
        "/state/keyvalues/word-count/range/a/z",
    ),
]


@pytest.mark.parametrize("path", COUNTING)
async def test_terms_reach_the_counts(client, queries, path):
    asked = {"allow_partial": "true", "max_lag_records": "0", "after": "2:122,10:6", "wait_ms": "1500"}
    assert (await client.get(path, params=asked)).status_code == 200
    assert queries.asked == [Terms(True, 0, {2: 122, 10: 6}, 1.5)]


@pytest.mark.parametrize("path", COUNTING)
async def test_who_demands_nothing_gets_the_newest_whole_answer(client, queries, path):
    assert (await client.get(path)).status_code == 200
    assert queries.asked == [WHOLE]


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("allow_partial", "yes", 'give "true" or "false"'),
        ("allow_partial", "", 'give "true" or "false"'),
        ("max_lag_records", "-1", "a whole number from 0 to 1000000000000"),
        ("max_lag_records", "1000000000001", "a whole number from 0 to 1000000000000"),
        ("max_lag_records", "few", "a whole number from 0 to 1000000000000"),
        ("wait_ms", "60001", "a whole number from 0 to 60000"),
        ("wait_ms", "1.5", "a whole number from 0 to 60000"),
        ("after", "", "partition:offset"),
        ("after", "3", "partition:offset"),
        ("after", "3:", "partition:offset"),
        ("after", ":3", "partition:offset"),
        ("after", "0:1,", "partition:offset"),
        ("after", "0:-1", "partition:offset"),
        ("after", "-1:0", "partition:offset"),
        ("after", "0:1;2:3", "partition:offset"),
        ("after", "0:１", "partition:offset"),
        ("after", "0:1\n", "partition:offset"),
        ("after", "0:1,2:3,0:2", "partition 0 twice"),
        ("after", "0:1,00:1", "partition 0 twice"),
        ("after", "0:9223372036854775808", "an offset at most 9223372036854775807"),
        ("after", "2147483648:0", "a partition is at most 2147483647"),
    ],
)
async def test_terms_that_nobody_can_keep_are_a_422_that_says_what_can(client, queries, name, value, remedy):
    reply = await client.get("/v1/top", params={name: value})
    assert reply.status_code == 422
    detail = reply.json()["detail"]
    assert detail.startswith(f'"{name}" is "{value}"')
    assert remedy in detail
    assert queries.asked == []


async def test_the_largest_terms_are_taken(client, queries):
    asked = {"max_lag_records": "1000000000000", "after": "2:0", "wait_ms": "60000", "allow_partial": "false"}
    assert (await client.get("/v1/top", params=asked)).status_code == 200
    assert queries.asked == [Terms(False, 10**12, {2: 0}, 60.0)]


@pytest.mark.parametrize("path", COUNTING)
@pytest.mark.parametrize("wait_ms", ["0", "1500"])
async def test_a_time_to_wait_for_nothing_is_a_422_that_says_what_to_do(client, queries, path, wait_ms):
    reply = await client.get(path, params={"wait_ms": wait_ms})
    assert reply.status_code == 422
    detail = reply.json()["detail"]
    assert detail.startswith(f'"wait_ms" is "{wait_ms}" without "after"')
    assert 'give partition:offset of the awaited records in "after", or leave "wait_ms" out' in detail
    assert queries.asked == []


async def test_a_partition_may_be_the_largest_that_kafka_has(client):
    reply = await client.get("/v1/top", params={"after": "2147483647:9223372036854775807"})
    assert reply.status_code == 504


async def test_one_parameter_of_the_terms_given_twice_is_a_400(client):
    assert (await client.get("/v1/top?after=0:1&after=0:2")).status_code == 400


@pytest.mark.parametrize("path", ["/v1/words/fox", "/v1/stats"])
async def test_an_unknown_parameter_is_told_which_terms_there_are(client, path):
    detail = (await client.get(path, params={"wait": "1"})).json()["detail"]
    assert "known here: allow_partial, max_lag_records, after, wait_ms" in detail
