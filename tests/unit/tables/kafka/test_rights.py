from __future__ import annotations

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from tables.errors import ConfigurationError
from tables.kafka.rights import Right, Rights, operations

RIGHTS = Rights("User:me", "kafka:9092")
READ, JOIN = Right("Read", "topic", "texts"), Right("Read", "group", "readers")


@pytest.mark.parametrize(
    ("connection", "principal"),
    [
        ({"sasl_plain_username": "me", "ssl_context": object()}, "User:me"),
        ({"ssl_context": object()}, "User:<subject of the certificate>"),
        ({"ssl_context": None}, "User:ANONYMOUS"),
    ],
)
def test_the_principal_is_named_as_far_as_it_is_known(connection: dict[str, object], principal: str) -> None:
    rights = Rights.of({"bootstrap_servers": ["a:1", "b:2"], **connection})
    assert rights == Rights(principal, "a:1,b:2")


def test_every_missing_right_is_named_with_the_command_that_grants_it() -> None:
    error = Rights("User:CN=me,O=us", "kafka:9092").error(READ, JOIN)
    assert str(error) == (
        'User:CN=me,O=us has no right to Read on topic "texts", Read on group "readers"; run: '
        "kafka-acls.sh --bootstrap-server kafka:9092 --add --allow-principal User:CN=me,O=us --operation Read --topic texts && "
        "kafka-acls.sh --bootstrap-server kafka:9092 --add --allow-principal User:CN=me,O=us --operation Read --group readers"
    )


def test_a_principal_that_a_shell_would_read_is_quoted() -> None:
    assert "'User:CN=a b'" in Rights("User:CN=a b", "kafka:9092").command(READ)


@pytest.mark.parametrize(
    ("denial", "missing"),
    [
        (TopicAuthorizationFailedError("texts"), READ),
        (GroupAuthorizationFailedError("readers"), JOIN),
        (ClusterAuthorizationFailedError(), READ),
    ],
)
def test_a_denial_is_known_directly_and_as_the_cause_of_another_error(
    denial: KafkaError, missing: Right
) -> None:
    hidden = KafkaError("Unexpected error during batch delivery")
    hidden.__cause__ = denial
    for error in (denial, hidden):
        with pytest.raises(ConfigurationError) as caught, RIGHTS.needed(READ, JOIN):
            raise error
        assert str(caught.value) == str(RIGHTS.error(missing))


def test_other_errors_pass() -> None:
    error = KafkaConnectionError("closed")
    with pytest.raises(KafkaConnectionError) as caught, RIGHTS.needed(READ):
        raise error
    assert caught.value is error


def test_operations_are_read_from_the_bits_of_an_answer() -> None:
    assert operations(1 << 3 | 1 << 8 | 1 << 10) == {"Read", "Describe"}
    assert operations(0) == set()
    assert operations() is operations(-(2**31)) is None
