async def test_top_words_come_by_count_then_by_word(client, queries):
    queries.counts = {"b": 2, "a": 2, "c": 9}
    reply = await client.get("/v1/top?k=2")
    assert reply.status_code == 200
    assert reply.json() == {
        "words": [{"word": "c", "count": 9}, {"word": "a", "count": 2}],
        "exact": True,
        "max_error": 0,
        "next_cursor": None,
        "as_of": {"2": 123, "10": 7},
        "complete": True,
        "missing_partitions": [],
        "served_by": {"2": "standby", "10": "active"},
        "behind": {"2": {"records": 7, "seconds": 0.5}},
    }


async def test_an_answer_that_proves_nothing_says_how_far_off_it_may_be(client, queries):
    queries.max_error = 3
    reply = (await client.get("/v1/top")).json()
    assert (reply["exact"], reply["max_error"]) == (False, 3)


async def test_exact_words_can_be_asked_for(client, queries):
    queries.max_error = 3
    assert (await client.get("/v1/top?exact=true")).json()["exact"]
    assert not (await client.get("/v1/top?exact=false")).json()["exact"]
    assert (await client.get("/v1/top?exact=1")).status_code == 422


async def test_ten_words_unless_asked(client, queries):
    queries.counts = {f"w{i}": 1 for i in range(50)}
    assert len((await client.get("/v1/top")).json()["words"]) == 10


async def test_an_incomplete_answer_says_so(client, queries):
    queries.complete, queries.missing = False, [3]
    reply = (await client.get("/v1/top?allow_partial=true")).json()
    assert (reply["complete"], reply["missing_partitions"]) == (False, [3])
