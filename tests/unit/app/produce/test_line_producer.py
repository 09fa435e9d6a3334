"""Errors of a producer whose lines were refused: how many were not sent, and the remedy."""

from __future__ import annotations

import pytest
from aiokafka.errors import InvalidTimestampError, PolicyViolationError, RequestTimedOutError

from app.config.settings import Settings
from app.produce.line_producer import _refusal
from tables.errors import BrokerUnavailableError, ConfigurationError


@pytest.mark.parametrize(
    ("error", "kind", "remedy"),
    [
        (InvalidTimestampError(), ConfigurationError, "set the clocks"),
        (PolicyViolationError(), ConfigurationError, "policy"),
        (RequestTimedOutError(), BrokerUnavailableError, "check the brokers"),
    ],
)
def test_a_refusal_says_how_much_was_not_sent_and_what_helps(
    error: Exception, kind: type[Exception], remedy: str
) -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:1", topic="texts", group="readers")
    refused = _refusal(error, settings, "2 of 3 lines were not acknowledged")
    assert type(refused) is kind
    assert "2 of 3 lines were not acknowledged" in refused.message
    assert remedy in refused.remedy
