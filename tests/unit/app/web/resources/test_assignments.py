"""`/v1/assignments`: workers, partitions, and how far they are."""


async def test_every_worker_is_shown_with_its_partitions(client):
    answer = (await client.get("/v1/assignments")).json()
    assert (answer["generation"], answer["partitions"]) == (7, 3)
    first, second = answer["workers"]
    assert first == {
        "url": "http://10.0.0.1:8080",
        "here": True,
        "problem": "",
        "version": "1.2.3",
        "active": {
            "2": {"state": "counting", "position": 123, "lag_records": 7, "restored": 1.0, "problem": ""},
            "10": {
                "state": "restoring",
                "position": None,
                "lag_records": None,
                "restored": 0.25,
                "problem": "",
            },
        },
        "standby": {
            "1": {
                "state": "following",
                "position": 40,
                "behind_records": 3,
                "behind_seconds": 0.2,
                "restored": 1.0,
                "problem": "",
            }
        },
    }
    assert second["problem"] == "it does not answer"
    assert (second["active"], second["standby"]) == ({"1": None}, {"2": None})


async def test_it_takes_no_parameters(client):
    assert (await client.get("/v1/assignments?k=1")).status_code == 400
