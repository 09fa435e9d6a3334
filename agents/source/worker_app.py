"""What the modules of this package ask of the Faust app that they run in; the worker's app is checked against it.

The app is defined above this package, in `app.worker.faust_app`: this is the only statement of what it must have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tables.kafka.rights import Rights
from tables.pace.memory import MemoryBudget
from tables.partitions.partitions import Partitions


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """What the consumer is built from, beside Faust's own configuration.

    Attributes:
        advertised_url: where this worker answers queries, told to the group.
        isolation: read_committed or read_uncommitted.
        topic: input topic.
        rights: what the brokers' refusals are turned into.
        request_timeout_s: longest wait for a broker's answer that depends on nobody else.
        max_record_bytes: longer values are passed over, see `agents.text.choices.Policies`.
        memory: says how much is fetched of a partition at a time.
    """

    advertised_url: str
    isolation: str
    topic: str
    rights: Rights
    request_timeout_s: float
    max_record_bytes: int
    memory: MemoryBudget


class WorkerApp(ABC):
    """A Faust app that counts words: the base class of the worker's app, beside Faust's.

    An abstract class, because mypy takes whatever is derived from Faust's untyped app for an implementation of any Protocol. What is
    abstract is the worker's own; the attributes are Faust's.

    Attributes:
        conf: Faust's configuration.
        consumer: an `agents.source.consumer.BatchConsumer`, which Faust creates when it is first asked for.
        consumer_generation_id: of the assignment that messages belong to.
        rebalancing: whether the group is being divided anew.
        should_stop: whether a stop has begun.
        topic: describes topics.
        agent: a decorator that registers what consumes a topic.
    """

    conf: Any
    consumer: Any
    consumer_generation_id: int
    rebalancing: bool
    should_stop: bool
    topic: Callable[..., Any]
    agent: Callable[..., Any]

    @property
    @abstractmethod
    def consumer_options(self) -> ConsumerOptions:
        """What the consumer is built from: asked when it is created, and in its thread."""

    @property
    @abstractmethod
    def partitions(self) -> Partitions:
        """The partitions of this worker."""

    @abstractmethod
    def end(self, error: Exception) -> None:
        """Stop the whole process because of `error`."""
