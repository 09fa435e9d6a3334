"""Answers to the requests of the page, and the page itself."""

READY, STATS, TOP = "readyz", "v1/stats?allow_partial=true", "v1/top?k=20&allow_partial=true"
ASSIGNMENTS = "v1/assignments"
FRESH = {
    "as_of": {"0": 7},
    "complete": True,
    "missing_partitions": [],
    "served_by": {"0": "active"},
    "behind": {},
}
IS_READY = {"status": "ready", "checks": {"broker": {"ok": True, "detail": "answers"}}}
SOME_STATS = {
    "words": 8,
    "records": 7,
    "partitions": {"0": {"state": "counting", "position": 7, "highwater": 9, "lag_records": 2}},
    **FRESH,
}
SOME_TOP = {
    "words": [{"word": "the", "count": 5}],
    "exact": True,
    "max_error": 0,
    "next_cursor": None,
    **FRESH,
}


def counted(state="counting", position=7, lag_records=2, restored=1.0, problem=""):
    return {
        "state": state,
        "position": position,
        "lag_records": lag_records,
        "restored": restored,
        "problem": problem,
    }


def followed(state="following", restored=1.0, problem=""):
    return {
        "state": state,
        "position": 6,
        "behind_records": 30,
        "behind_seconds": 0.25,
        "restored": restored,
        "problem": problem,
    }


def worker(number, active, standby=None, problem="", version="1.2.3"):
    return {
        "url": f"http://10.0.0.{number}:80",
        "here": number == 1,
        "problem": problem,
        "version": version,
        "active": active,
        "standby": standby or {},
    }


ALONE = {"generation": 1, "partitions": 1, "workers": [worker(1, {"0": counted()})]}
BUSY = {"type": "urn:problem-type:wordcount:busy", "title": "Busy", "status": 503, "detail": "8 are waiting"}


async def page_of(client):
    reply = await client.get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    return reply
