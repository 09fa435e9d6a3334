"""The interface of the worker's Faust app, as far as `agents` uses the app.

The app itself is `app.worker.faust_app.WordcountApp`. `agents` may not import it, and mypy checks it against this interface.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.source.assignor import GroupFacts
from tables import clock
from tables.kafka.rights import Rights
from tables.pace.memory import MemoryBudget
from tables.partitions.partitions import Partitions


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """Options of the consumer, in addition to Faust's own configuration.

    Attributes:
        facts: what this worker tells and asks of the group.
        isolation: read_committed or read_uncommitted.
        topic: input topic.
        rights: turns the brokers' refusals into errors for the operator.
        request_timeout_s: longest wait, in seconds, for a broker's answer that does not depend on other clients.
        max_record_bytes: longest value that is read, in bytes, inclusive, see `agents.text.choices.Policies`.
        memory: decides how many bytes of a partition are fetched at a time.
        with_times: whether the times of records are read, because windows are counted by them.
        clock: returns seconds for the lease of the membership, see `tables.clock`.
    """

    facts: GroupFacts
    isolation: str
    topic: str
    rights: Rights
    request_timeout_s: float
    max_record_bytes: int
    memory: MemoryBudget
    with_times: bool = False
    clock: Callable[[], float] = clock.now_s


class WorkerApp(ABC):
    """A Faust app that counts words: a base class of the worker's app, beside Faust's own app class.

    Not a Protocol, because mypy accepts every class derived from Faust's untyped app as an implementation of any Protocol. The
    abstract members are the worker's own; the attributes are Faust's.

    Attributes:
        conf: Faust's configuration.
        consumer: an `agents.source.consumer.BatchConsumer`, which Faust creates at the first access.
        consumer_generation_id: generation of the assignment that messages belong to.
        rebalancing: whether a rebalance of the group is under way.
        should_stop: whether a stop has begun.
        topic: creates a Faust topic.
        agent: decorator that registers an agent, which consumes a topic.
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
        """The options of the consumer: read when the consumer is created, and in the consumer's thread."""

    @property
    @abstractmethod
    def partitions(self) -> Partitions:
        """The partitions of this worker."""

    @abstractmethod
    def end(self, error: Exception) -> None:
        """Stop the whole process because of `error`."""
