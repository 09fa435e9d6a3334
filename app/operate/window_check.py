"""The check of `wordcount doctor` about windows of event time: their rules, and where the times of records come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agents.text.choices import RECORD_TIME
from app.config.windows import windows_of
from app.operate.check import Check
from tables.kafka.broker_errors import NO_ERROR
from tables.model.durations import duration_text

if TYPE_CHECKING:
    from app.config.settings import Settings
    from tables.kafka.topic_description import TopicDescription

_TITLE = "windows"


class TopicConfigs(Protocol):
    """The part of `app.kafka.admin.Admin` that this module uses."""

    async def topic_config(self, topic: str, name: str) -> str | None:
        """Return a value of the configuration of a topic; None if it may not be read, or the broker does not know the name."""


async def window_check(admin: TopicConfigs, settings: Settings, topic: TopicDescription) -> Check:
    """Tell the rules of the configured windows, and whether the records of the input topic have times."""
    rules = "; ".join(
        f"{duration_text(pane.size_s)}: grace {duration_text(pane.grace_s)}, kept {duration_text(pane.retention_s)}"
        for pane in windows_of(settings).panes
    )
    if settings.timestamp != RECORD_TIME:
        return Check(_TITLE, "ok", f"{rules}; times are at {settings.timestamp} of each document")
    if topic.error_code != NO_ERROR:
        return Check(_TITLE, "ok", f"{rules}; no input topic yet")
    kind = await admin.topic_config(settings.topic, "message.timestamp.type")
    if kind is None:
        return Check(
            _TITLE,
            "warn",
            f"{rules}; where the times of records come from may not be read by this user",
            "grant DescribeConfigs on the input topic",
        )
    version = await admin.topic_config(settings.topic, "message.format.version")
    if version is not None and version.startswith(("0.8", "0.9")):
        return Check(
            _TITLE,
            "fail",
            f"{rules}; message.format.version={version}: records of the input topic have no times, so that no window counts them",
            "raise message.format.version of the topic to 0.10.0 or later, or name the place of the time in WORDCOUNT_TIMESTAMP",
        )
    source = "of the broker's clock as it appends" if kind == "LogAppendTime" else "that producers give"
    return Check(_TITLE, "ok", f"{rules}; times are those {source} (message.timestamp.type={kind})")
