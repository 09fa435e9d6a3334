from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tables.model.tally import Totals


async def test_prometheus_text_by_default(client, metrics):
    metrics.flushed(0, rows=2, words=3, records=1, duration_s=0.1, totals_delta=Totals(1, 1, 3))
    reply = await client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {sample.name: sample.value for family in parse_text(reply.text) for sample in family.samples}
    assert samples["wordcount_words_total"] == 3


async def test_openmetrics_for_who_accepts_it(client):
    reply = await client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in parse_openmetrics(reply.text)} >= {
        "wordcount_words",
        "wordcount_records",
    }
