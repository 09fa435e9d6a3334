"""What a broker says about a topic, its id above all: a topic that is deleted and created again under its name gets another one.

A broker that is older than Kafka 2.8, or has no ids, gives "": then only offsets can tell that a topic was replaced.
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
        error_code: 0, or why there is no more to say; `UNKNOWN_TOPIC` and `TOPIC_UNAUTHORIZED` are usual.
        partitions: how many; 0 = there is no such topic.
        topic_id: as Kafka's own tools write it; "" = the broker does not tell.
        leaderless: partitions without a leader, as while the brokers that hold them are away.
        in_sync: in-sync replicas of the partition that has fewest; None where nothing is known.
        rights: operations on it that this user may do; None where the broker does not tell.
    """

    error_code: int
    partitions: int = 0
    topic_id: str = ""
    leaderless: Sequence[int] = ()
    in_sync: int | None = None
    rights: frozenset[str] | None = None


def descriptions(answer: Any) -> dict[str, TopicDescription]:
    """The topics in the answer to `DescribeTopics`, by name."""
    return {topic[1]: _description(answer.API_VERSION, topic) for topic in answer.topics}


def _description(version: int, topic: Sequence[Any]) -> TopicDescription:
    error_code, _, *others = topic
    topic_id = others.pop(0) if version >= DescribeTopics.IDS_VERSION else ""
    _, partitions, *others = others
    # From version 7 on, an epoch stands before the replicas.
    in_sync_at = 5 if version >= DescribeTopics.RIGHTS_VERSION else 4
    return TopicDescription(
        error_code,
        len(partitions),
        topic_id,
        sorted(partition[1] for partition in partitions if partition[2] < 0),
        min((len(partition[in_sync_at]) for partition in partitions), default=None),
        operations(others[0]) if version >= DescribeTopics.RIGHTS_VERSION else None,
    )
