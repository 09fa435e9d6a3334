"""Bodies of HTTP answers byte for byte, because clients rely on the order of members, escapes, nulls and numbers."""

import httpx
import pytest

from app.bodies import ReadinessCheck
from app.produce.receipt import NotDeliveredError
from app.reads.answers import IncompleteError, NotCountedYetError
from app.reads.window_answers import UnknownWindowError, WindowExpiredError, WindowSize
from app.web.asgi import create_asgi_app
from app.web.problems import OTHERS, PROBLEMS, problem_response
from app.web.terms import NAMES
from app.worker.metrics import Metrics
from tables.errors import WordcountError
from tables.model.tally import Totals
from tests.fakes.queries import VERSION, FakeHealth, FakeQueries

AWKWARD = 'a/b\n"\\\u2028<é👍\x00\x7f'
AWKWARD_PATH = "a%2Fb%0A%22%5C%E2%80%A8%3C%C3%A9%F0%9F%91%8D%00%7F"
AWKWARD_JSON = '"a/b\\n\\"\\\\\u2028<é👍\\u0000\x7f"'
WHO = '"served_by":{"2":"standby","10":"active"},"behind":{"2":{"records":7,"seconds":0.5}}'
FRESH = '"as_of":{"2":123,"10":7},"complete":true,"missing_partitions":[],' + WHO
PARTIAL = '"as_of":{"2":123,"10":7},"complete":false,"missing_partitions":[3,4],' + WHO
NOWHERE = '"as_of":{},"complete":false,"missing_partitions":[],"served_by":{},"behind":{}'
TOTALS = (
    '"records":10,"words":8,"counted":7,"skipped":{"null":1},"dead_lettered":{"invalid_json":2},'
    '"dropped_words":{"stop_word":4}'
)
NO_TOTALS = '"records":0,"words":0,"counted":0,"skipped":{},"dead_lettered":{},"dropped_words":{}'
PARTITIONS = (
    '"partitions":{"2":{"state":"counting","position":123,"highwater":130,"lag_records":7},'
    '"10":{"state":"restoring","position":null,"highwater":null,"lag_records":null}}'
)
CHECKS = (
    '"checks":{"broker":{"ok":true,"detail":"127.0.0.1:9092"},"assignment":{"ok":true,"detail":"2 partitions"},'
    '"restored":{"ok":%s},"draining":{"ok":true,"detail":"not draining"}}'
)


def plain(queries: FakeQueries, health: FakeHealth) -> None:
    pass


def awkward(queries: FakeQueries, health: FakeHealth) -> None:
    queries.counts = {"the": 5, AWKWARD: 2**40, "": 1}
    health.found["restored"] = ReadinessCheck(False, 'restoring: "2"\té')


def partial(queries: FakeQueries, health: FakeHealth) -> None:
    queries.complete, queries.missing = False, (4, 3)


def nothing(queries: FakeQueries, health: FakeHealth) -> None:
    queries.counts, queries.as_of, queries.complete = {}, {}, False
    queries.totals, queries.status = Totals(), {}
    queries.served_by, queries.behind = {}, {}


def unproven(queries: FakeQueries, health: FakeHealth) -> None:
    queries.max_error = 3


def problem(name: str, title: str, status: int, detail: str, members: str = "") -> str:
    body = (
        f'"type":"urn:problem-type:wordcount:{name}","title":"{title}","status":{status},"detail":"{detail}"'
    )
    return f"{{{body}{members and ','}{members}}}"


def unknown(word: str) -> str:
    detail = "the word does not occur in any partition, up to the offsets in as_of"
    return problem("unknown-word", "The word does not occur", 404, detail, f'"word":{word},{FRESH}')


def incomplete(detail: str, missing: str, reasons: str) -> str:
    members = f'"missing_partitions":[{missing}],"reasons":{{{reasons}}}'
    return problem("incomplete", "Partitions do not answer", 503, detail, members)


NOBODY = "nobody answered for the partition"
NOT_HERE = "the word does not occur in the partitions that answer, and may occur in the others; ask again"
REFUSED = incomplete(
    "no answer for partition 3 (no worker has the partition) and 1 more; ask again, or allow an answer without these partitions "
    "by allow_partial=true",
    "3,4",
    '"3":"no worker has the partition","4":"no worker has the partition"',
)
BAD, RANGE = "The request cannot be understood", "A parameter's value cannot be used"
THIS_WORKER = '{"host":"127.0.0.1","port":80,"storeNames":["word-count","windowed-word-count"]}'
OVER_THE_FOX = '{"word":"fox","count":2},{"word":"over","count":1},{"word":"the","count":5}'
THE_FOX_OVER = '{"word":"the","count":5},{"word":"fox","count":2},{"word":"over","count":1}'
ANSWERS = [
    (plain, "/v1/words/FOX", 200, f'{{"word":"fox","count":2,{FRESH}}}'),
    (plain, "/v1/words/wolf", 404, unknown('"wolf"')),
    (plain, "/count/FOX/", 200, '{"FOX":2}'),
    (plain, "/count/Wolf/", 404, unknown('"Wolf"')),
    (plain, "/v1/words", 200, f'{{"words":[{OVER_THE_FOX}],"next_cursor":null,{FRESH}}}'),
    (
        plain,
        "/v1/words?limit=1",
        200,
        f'{{"words":[{{"word":"fox","count":2}}],"next_cursor":"MDpmb3g",{FRESH}}}',
    ),
    (
        plain,
        "/v1/words?prefix=o",
        200,
        f'{{"words":[{{"word":"over","count":1}}],"next_cursor":null,{FRESH}}}',
    ),
    (plain, "/v1/words?prefix=x", 200, f'{{"words":[],"next_cursor":null,{FRESH}}}'),
    (
        plain,
        "/v1/top",
        200,
        f'{{"words":[{THE_FOX_OVER}],"exact":true,"max_error":0,"next_cursor":null,{FRESH}}}',
    ),
    (plain, "/v1/stats", 200, f"{{{TOTALS},{FRESH},{PARTITIONS}}}"),
    (plain, "/state/instances", 200, f"[{THIS_WORKER}]"),
    (plain, "/state/instances/word-count", 200, f"[{THIS_WORKER}]"),
    (plain, "/state/instance/word-count/wolf", 200, THIS_WORKER),
    (plain, "/state/keyvalue/word-count/FOX", 200, '{"key":"fox","value":2}'),
    (plain, "/state/keyvalue/word-count/Wolf", 404, unknown('"wolf"')),
    (
        plain,
        "/state/keyvalues/word-count/all",
        200,
        '[{"key":"fox","value":2},{"key":"over","value":1},{"key":"the","value":5}]',
    ),
    (
        plain,
        "/state/keyvalues/word-count/range/fox/over",
        200,
        '[{"key":"fox","value":2},{"key":"over","value":1}]',
    ),
    (
        plain,
        "/state/keyvalue/counts/fox",
        404,
        problem(
            "unknown-store",
            "There is no store of that name",
            404,
            'there is no store \\"counts\\"; there is word-count',
        ),
    ),
    (
        plain,
        "/version",
        200,
        '{"version":"1.2.3","python":"3.11.7","faust":"0.15.3","commit":"abc1234"}',
    ),
    (plain, "/livez", 200, '{"status":"ok"}'),
    (
        plain,
        "/readyz",
        200,
        '{"status":"ready",' + CHECKS % 'true,"detail":"2 partitions up to date"' + "}",
    ),
    (
        plain,
        "/v1/words?x=1",
        400,
        problem(
            "bad-request",
            BAD,
            400,
            f'unknown query parameter \\"x\\"; known here: prefix, limit, cursor, {", ".join(NAMES)}',
        ),
    ),
    (
        plain,
        "/v1/words?limit=0",
        422,
        problem("out-of-range", RANGE, 422, '\\"limit\\" is \\"0\\"; give a whole number from 1 to 1000'),
    ),
    (
        plain,
        "/nothing",
        404,
        problem(
            "not-found", "Not Found", 404, "GET /nothing: there is no such resource; /openapi.json lists all"
        ),
    ),
    (
        awkward,
        f"/v1/words/{AWKWARD_PATH}",
        200,
        f'{{"word":{AWKWARD_JSON},"count":1099511627776,{FRESH}}}',
    ),
    (awkward, f"/count/{AWKWARD_PATH}/", 200, f"{{{AWKWARD_JSON}:1099511627776}}"),
    (awkward, "/v1/words/", 200, f'{{"word":"","count":1,{FRESH}}}'),
    (
        awkward,
        "/v1/words?limit=2",
        200,
        f'{{"words":[{{"word":"","count":1}},{{"word":{AWKWARD_JSON},"count":1099511627776}}],'
        f'"next_cursor":"MDphL2IKIlzigKg8w6nwn5GNAH8",{FRESH}}}',
    ),
    (awkward, "/v1/words/%22%00%E2%80%A8", 404, unknown('"\\"\\u0000\u2028"')),
    (
        awkward,
        "/readyz",
        503,
        '{"status":"not_ready",' + CHECKS % r'false,"detail":"restoring: \"2\"\té"' + "}",
    ),
    (partial, "/v1/words/fox", 503, REFUSED),
    (partial, "/count/fox/?allow_partial=false", 503, REFUSED),
    (partial, "/v1/words/fox?allow_partial=true", 200, f'{{"word":"fox","count":2,{PARTIAL}}}'),
    (
        partial,
        "/v1/words/Wolf?allow_partial=true",
        503,
        incomplete(NOT_HERE, "3,4", f'"3":"{NOBODY}","4":"{NOBODY}"'),
    ),
    (
        partial,
        "/v1/words?limit=1&allow_partial=true",
        200,
        f'{{"words":[{{"word":"fox","count":2}}],"next_cursor":"MDpmb3g",{PARTIAL}}}',
    ),
    (
        partial,
        "/v1/top?k=1&allow_partial=true",
        200,
        f'{{"words":[{{"word":"the","count":5}}],"exact":true,"max_error":0,"next_cursor":null,{PARTIAL}}}',
    ),
    (partial, "/v1/stats?allow_partial=true", 200, f"{{{TOTALS},{PARTIAL},{PARTITIONS}}}"),
    (nothing, "/v1/words/fox?allow_partial=true", 503, incomplete(NOT_HERE, "", "")),
    (nothing, "/v1/words?allow_partial=true", 200, f'{{"words":[],"next_cursor":null,{NOWHERE}}}'),
    (
        nothing,
        "/v1/top?allow_partial=true",
        200,
        f'{{"words":[],"exact":true,"max_error":0,"next_cursor":null,{NOWHERE}}}',
    ),
    (nothing, "/v1/stats?allow_partial=true", 200, f'{{{NO_TOTALS},{NOWHERE},"partitions":{{}}}}'),
    (
        plain,
        "/v1/words/fox?after=2:123,10:6",
        504,
        problem(
            "not-yet-counted",
            "The records are not counted yet",
            504,
            "offset 123 of partition 2 is not counted yet: the partition is counted up to offset 123, exclusive; ask again, or allow "
            "more time by wait_ms",
            '"as_of":{"2":123,"10":7}',
        ),
    ),
    (
        unproven,
        "/v1/top?k=1",
        200,
        f'{{"words":[{{"word":"the","count":5}}],"exact":false,"max_error":3,"next_cursor":null,{FRESH}}}',
    ),
    (
        unproven,
        "/v1/top?k=1&exact=true",
        200,
        f'{{"words":[{{"word":"the","count":5}}],"exact":true,"max_error":0,"next_cursor":null,{FRESH}}}',
    ),
]
RAISED = [
    ("failed", "The request failed", 500),
    ("configuration", "The service is not configured correctly", 500),
    ("bad-request", BAD, 400),
    ("out-of-range", RANGE, 422),
    ("not-acceptable", "No media type of the resource is accepted", 406),
    ("unsupported-media-type", "The media type of the body cannot be used", 415),
    ("content-too-large", "The body is too large", 413),
    ("text-too-long", "A text is longer than a record may be", 413),
    ("ingest-off", "No texts are taken here", 403),
    ("not-delivered", "The brokers have not confirmed all texts", 503),
    ("incomplete", "Partitions do not answer", 503),
    ("unknown-window", "No windows of this size are counted", 404),
    ("no-watches", "There are no watches here", 404),
    ("no-window", "There is no such window yet", 404),
    ("window-gone", "The window is not kept any more", 410),
    ("not-yet-counted", "The records are not counted yet", 504),
    ("not-ready", "No answer yet", 503),
    ("overloaded", "Too many queries wait", 503),
    ("too-many-streams", "Too many streams are open", 503),
    ("query-timeout", "No answer in time", 503),
    ("broker-unavailable", "No broker answers", 503),
    ("state-locked", "The state is in use by another process", 503),
    ("store-corrupted", "State is being rebuilt", 503),
    ("store-full", "The disk is full", 503),
    ("store-unavailable", "The system refuses what a store needs", 503),
    ("out-of-memory", "The process has no memory left", 503),
    ("partitions-lost", "Partitions have moved", 503),
    ("flush-unknown", "A flush is being examined", 503),
    ("foreign-records", "A changelog is being examined", 503),
    ("foreign-changelog", "The changelog is another deployment's", 503),
    ("changelog-replaced", "State is being rebuilt", 503),
    ("stalled", "Counting stands still", 503),
    ("inexact", "Counts are no longer exact; an operator has to decide", 503),
]
TOLD = [
    ("unknown-word", "The word does not occur", 404),
    ("unknown-store", "There is no store of that name", 404),
    ("unexpected", "Unexpected error", 500),
    ("malformed", "The request is not HTTP as RFC 9112 has it", 400),
    ("too-slow", "The request did not arrive in time", 408),
    ("host-not-allowed", "This service is not known by that name", 421),
    ("head-too-large", "The path or the headers are too large", 431),
    ("not-implemented", "The transfer coding is not known", 501),
    ("unauthorized", "A token is needed", 401),
    ("forbidden", "The token does not allow this", 403),
    ("origin-not-allowed", "Pages of this origin may not ask this", 400),
    ("too-many-requests", "The client sends too many requests", 429),
    ("too-many-connections", "Too many connections", 503),
]


def raised(kind: type[WordcountError]) -> tuple[WordcountError, str, str]:
    """An error of this kind, the detail of its problem, and further members of its problem."""
    if kind is IncompleteError:
        error = IncompleteError({10: "late", 2: "gone"})
        return error, str(error), '"missing_partitions":[2,10],"reasons":{"2":"gone","10":"late"}'
    if kind is NotCountedYetError:
        error = NotCountedYetError({2: 7, 10: 1}, {10: 4, 2: 7})
        return error, str(error), '"as_of":{"2":7,"10":4}'
    if kind is NotDeliveredError:
        return (
            kind("what is wrong", "what helps", accepted=2, in_doubt=1),
            "what is wrong; what helps",
            '"accepted":2,"in_doubt":1',
        )
    if kind is UnknownWindowError:
        error = UnknownWindowError(WindowSize(3600, 300), [60, 3600])
        return error, str(error), ""
    if kind is WindowExpiredError:
        error = WindowExpiredError(WindowSize(60, 60), 0, 60, 120)
        return error, str(error), ""
    return kind("what is wrong", "what helps"), "what is wrong; what helps", ""


@pytest.mark.parametrize(("state", "path", "status", "body"), ANSWERS)
async def test_an_answer_has_exactly_these_bytes(state, path, status, body):
    queries, health = FakeQueries(), FakeHealth()
    state(queries, health)
    asgi_app = create_asgi_app(queries, health, Metrics().registry, VERSION, str.casefold)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi_app), base_url="http://127.0.0.1"
    ) as client:
        reply = await client.get(path)
    assert (reply.status_code, reply.content.decode()) == (status, body)


@pytest.mark.parametrize(("kind", "told"), [*zip(PROBLEMS, RAISED, strict=True)])
async def test_the_problem_of_an_error_has_exactly_these_bytes(client, queries, kind, told):
    queries.error, detail, members = raised(kind)
    reply = await client.get("/v1/top")
    assert reply.content.decode() == problem(*told, detail, members)


@pytest.mark.parametrize(("kind", "told"), [*zip(OTHERS, TOLD, strict=True)])
def test_any_other_problem_has_exactly_these_bytes(kind, told):
    assert bytes(problem_response(kind, "wrong: é").body).decode() == problem(*told, "wrong: é")


async def test_a_receipt_for_texts_has_exactly_these_bytes(client):
    reply = await client.post("/v1/texts", json={"texts": ["a fox", "a wolf"]})
    assert (reply.status_code, reply.content.decode()) == (
        202,
        '{"accepted":2,"partitions":{"10":7},"after":"10:6"}',
    )


async def test_an_unexpected_error_and_another_method_have_exactly_these_bytes(client, queries):
    queries.error = RuntimeError("inside")
    assert (await client.get("/v1/top")).content.decode() == problem(
        "unexpected", "Unexpected error", 500, "the log of the service says more"
    )
    assert (await client.post("/v1/top")).content.decode() == problem(
        "method-not-allowed",
        "Method Not Allowed",
        405,
        "POST /v1/top: this resource does not take this method; see Allow",
    )
