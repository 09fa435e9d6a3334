"""What `wordcount doctor` says of windows and of the times of records."""

from __future__ import annotations

import pytest

from app.config.settings import Settings
from app.operate.window_check import window_check
from tables.kafka.broker_errors import NO_ERROR, UNKNOWN_TOPIC
from tables.kafka.topic_description import TopicDescription

TOPIC = TopicDescription(NO_ERROR, 1)
RULES = "1m: grace 12s, kept 1441m; 1h: grace 5m, kept 60d"


class Configs:
    """Configuration of any topic."""

    def __init__(self, **values: str) -> None:
        self._values = values

    async def topic_config(self, topic: str, name: str) -> str | None:
        return self._values.get(name.replace(".", "_"))


def settings(**others: str) -> Settings:
    return Settings.model_validate({"windows": "1m,1h,2m/1m", "retention": "1m=1d,2m/1m=1d", **others})


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("CreateTime", "times are those that producers give (message.timestamp.type=CreateTime)"),
        (
            "LogAppendTime",
            "times are those of the broker's clock as it appends (message.timestamp.type=LogAppendTime)",
        ),
    ],
)
async def test_rules_and_the_clock_of_the_topic_are_told(kind: str, said: str) -> None:
    check = await window_check(Configs(message_timestamp_type=kind), settings(), TOPIC)
    assert (check.status, check.detail) == ("ok", f"{RULES}; {said}")


async def test_times_in_documents_need_no_clock_of_the_topic() -> None:
    check = await window_check(Configs(), settings(timestamp="/at", value_format="json"), TOPIC)
    assert (check.status, check.detail) == ("ok", f"{RULES}; times are at /at of each document")


async def test_records_of_a_topic_without_times_are_in_no_window() -> None:
    configs = Configs(message_timestamp_type="CreateTime", message_format_version="0.9.0-IV1")
    check = await window_check(configs, settings(), TOPIC)
    assert check.status == "fail"
    assert "records of the input topic have no times" in check.detail
    assert "WORDCOUNT_TIMESTAMP" in check.remedy


async def test_what_is_not_known_is_said() -> None:
    check = await window_check(Configs(), settings(), TOPIC)
    assert (check.status, check.remedy) == ("warn", "grant DescribeConfigs on the input topic")
    check = await window_check(Configs(), settings(), TopicDescription(UNKNOWN_TOPIC))
    assert (check.status, check.detail) == ("ok", f"{RULES}; no input topic yet")
