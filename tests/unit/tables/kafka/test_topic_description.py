"""Descriptions of topics, parsed from every version of the answer that a broker may give."""

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.metadata import MetadataResponse_v5

from tables.kafka.broker_errors import UNKNOWN_TOPIC
from tables.kafka.requests import DescribeTopics
from tables.kafka.topic_description import TopicDescription, descriptions

READ_AND_WRITE = 1 << 3 | 1 << 4


def request(version: int) -> Any:
    return DescribeTopics(["texts"], cluster_rights=True).prepare({3: (0, version)})


def answer(version: int, *topics: tuple[Any, ...]) -> Any:
    """What a client makes of the bytes of a broker."""
    kind = request(version).RESPONSE_TYPE
    tags = ({},) if version >= DescribeTopics.IDS_VERSION else ()
    rights = (READ_AND_WRITE, *tags) if version >= DescribeTopics.RIGHTS_VERSION else ()
    brokers = [(1, "host", 9092, None, *tags)]
    return kind.decode(BytesIO(kind(0, brokers, "cluster", 1, list(topics), *rights).encode()))


@pytest.mark.parametrize(("broker_has", "asked"), [(5, 5), (7, 5), (8, 8), (9, 8), (10, 10), (13, 10)])
def test_the_newest_version_that_both_know_is_asked_for(broker_has, asked):
    assert asked == request(broker_has).API_VERSION


def test_brokers_before_kafka_2_3_tell_neither_rights_nor_ids():
    assert request(5).RESPONSE_TYPE is MetadataResponse_v5
    partitions = [(0, 0, 1, [1, 2, 3], [1, 2], []), (5, 1, -1, [1, 2, 3], [1], [2, 3])]
    found = descriptions(answer(5, (0, "texts", False, partitions)))
    assert found == {"texts": TopicDescription(0, 2, leaderless=[1], in_sync=1)}


def test_brokers_before_kafka_2_8_tell_rights_and_no_ids():
    partitions = [(0, 0, 1, 7, [1, 2, 3], [1, 2], []), (5, 1, -1, 7, [1, 2, 3], [1], [2, 3])]
    found = descriptions(answer(8, (0, "texts", False, partitions, READ_AND_WRITE)))
    assert found["texts"] == TopicDescription(0, 2, "", [1], 1, frozenset({"Read", "Write"}))


def test_a_missing_topic_has_no_partitions_and_no_rights_are_told():
    not_told = -(2**31)
    found = descriptions(answer(8, (UNKNOWN_TOPIC, "texts", False, [], not_told)))
    assert found["texts"] == TopicDescription(UNKNOWN_TOPIC, leaderless=[])
