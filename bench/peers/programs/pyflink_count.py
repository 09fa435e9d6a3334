"""The word count in Flink SQL, started from Python: it splits lines into words; every change of a count goes to an upsert topic."""

from __future__ import annotations

import time
from pathlib import Path

import run
from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

READING = "Adding split(s) to reader"
"""The text that Flink logs when its reader gets its partitions; SQL has no call that reports the first line."""


def main() -> None:
    """Run until the end of the topic, and thereby until the last checkpoint."""
    configuration = Configuration()
    for name, value in run.settings().items():
        configuration.set_string(name, value)
    configuration.set_string("pipeline.jars", run.text("JARS"))
    configuration.set_string("execution.checkpointing.dir", Path(run.text("STATE")).as_uri())
    settings = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration)
    environment = TableEnvironment.create(settings.build())
    environment.execute_sql(f"""
        CREATE TABLE lines (line STRING) WITH (
            'connector' = 'kafka', 'topic' = '{run.text("TOPIC")}', 'format' = 'raw',
            'properties.bootstrap.servers' = '{run.text("SERVERS")}', 'properties.group.id' = '{run.text("ID")}',
            'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset')""")
    environment.execute_sql(f"""
        CREATE TABLE counts (word STRING, n BIGINT, PRIMARY KEY (word) NOT ENFORCED) WITH (
            'connector' = 'upsert-kafka', 'topic' = '{run.text("ID")}-counts',
            'properties.bootstrap.servers' = '{run.text("SERVERS")}',
            'key.format' = 'raw', 'value.format' = 'raw', 'value.fields-include' = 'EXCEPT_KEY')""")
    job = environment.execute_sql("""
        INSERT INTO counts
        SELECT word, COUNT(*) FROM lines CROSS JOIN UNNEST(SPLIT(line, ' ')) AS words (word) GROUP BY word
        """)
    # The wait is in this thread, because a second thread makes the bridge to Java change threads, which breaks the planner.
    wait_until_reading(Path(run.text("LOGS")))
    run.mark("first")
    job.wait()
    run.mark("durable")


def wait_until_reading(folder: Path) -> None:
    """Return when a log in `folder` says that the reader got its partitions."""
    while not any(READING in path.read_text("utf-8", "replace") for path in folder.glob("*.log")):
        time.sleep(0.01)


if __name__ == "__main__":
    main()
