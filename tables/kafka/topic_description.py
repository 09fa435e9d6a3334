"""Descriptions of topics by a broker: id, partitions, leaders, replicas and rights.

The id shows that a topic was deleted and created again under its name, because the new topic has another id. A broker that is older
than Kafka 2.8, or that has no ids, gives "" as the id: then only offsets can show that a topic was replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tables.kafka.requests import DescribeTopics
from tables.kafka.rights import operations


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic as a broker describes it now.

    Attributes:
        error_code: 0, or the reason for which the other attributes are empty, mostly `UNKNOWN_TOPIC` or `TOPIC_UNAUTHORIZED`.
        partitions: number of partitions; 0 = the topic does not exist.
        topic_id: id in the text form of Kafka's own tools; "" = the broker does not give ids.
        leaderless: numbers of the partitions without a leader, ascending; the brokers with their replicas are away.
        in_sync: number of in-sync replicas of the partition that has fewest; None = there is no partition.
        rights: operations on the topic that this user may do; None = the broker does not report rights.
    """

    error_code: int
    partitions: int = 0
    topic_id: str = ""
    leaderless: Sequence[int] = ()
    in_sync: int | None = None
    rights: frozenset[str] | None = None


def descriptions(answer: Any) -> dict[str, TopicDescription]:
    """Return the topics in the answer to `DescribeTopics`, by name."""
    return {topic[1]: _description(answer.API_VERSION, topic) for topic in answer.topics}


def _description(version: int, topic: Sequence[Any]) -> TopicDescription:
    error_code, _, *others = topic
    topic_id = others.pop(0) if version >= DescribeTopics.IDS_VERSION else ""
    _, partitions, *others = others
    # From version 7 on, the leader's epoch precedes the replicas.
    in_sync_at = 5 if version >= DescribeTopics.RIGHTS_VERSION else 4
    return TopicDescription(
        error_code,
        len(partitions),
        topic_id,
        sorted(partition[1] for partition in partitions if partition[2] < 0),
        min((len(partition[in_sync_at]) for partition in partitions), default=None),
        operations(others[0]) if version >= DescribeTopics.RIGHTS_VERSION else None,
    )
