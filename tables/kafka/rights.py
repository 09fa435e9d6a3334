"""Missing rights on the brokers: one error names the right, the user without it, and the command that grants it.

A retry does not help: the operator has to grant the right. No count is lost meanwhile: records that were not flushed are read again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from tables.errors import ConfigurationError

OPERATIONS = {3: "Read", 4: "Write", 5: "Create", 6: "Delete", 7: "Alter", 8: "Describe"}
"""Names of operations, by the number of their bit in the answers of brokers."""

DENIALS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
_NOT_TOLD = -(2**31)


class Right(NamedTuple):
    """An operation on a resource; operation and kind are named as Kafka's own tools name them."""

    operation: str
    kind: Literal["topic", "group"]
    name: str


@dataclass(frozen=True, slots=True)
class Rights:
    """The user of this process and its brokers; makes the errors about missing rights.

    Attributes:
        principal: the user's name, as brokers form the name by default.
        bootstrap_servers: bootstrap servers of the brokers, separated by commas.
    """

    principal: str
    bootstrap_servers: str

    @classmethod
    def of(cls, connection: Mapping[str, Any]) -> Self:
        """Return the rights of the user that connects with these keyword arguments of a Kafka client."""
        name = connection.get("sasl_plain_username")
        if name is None:
            name = "ANONYMOUS" if connection.get("ssl_context") is None else "<subject of the certificate>"
        servers = connection.get("bootstrap_servers", "localhost")
        return cls(f"User:{name}", servers if isinstance(servers, str) else ",".join(servers))

    def error(self, *missing: Right) -> ConfigurationError:
        """Return the error that names the missing rights and the commands that grant them."""
        what = ", ".join(f'{right.operation} on {right.kind} "{right.name}"' for right in missing)
        return ConfigurationError(
            f"{self.principal} has no right to {what}", f"run: {' && '.join(map(self.command, missing))}"
        )

    def command(self, right: Right) -> str:
        """Return the command line of Kafka's own tool that grants a right."""
        words = ["kafka-acls.sh", "--bootstrap-server", self.bootstrap_servers, "--add"]
        words += ["--allow-principal", shlex.quote(self.principal)]
        words += ["--operation", right.operation, f"--{right.kind}", right.name]
        return " ".join(words)

    def denied(self, error: BaseException, *needed: Right) -> ConfigurationError | None:
        """Return the error for the operator if the request failed for lack of a right; None if it failed for another reason.

        A broker says only whether a right on a topic or on a group is missing, so the error names all needed rights of that kind. If a
        producer may not write to any topic at all, the broker says that a right on the cluster is missing.

        Args:
            error: the error of the request.
            needed: all rights that the request needed.
        """
        denial = _denial(error)
        if denial is None:
            return None
        kind = "group" if isinstance(denial, GroupAuthorizationFailedError) else "topic"
        return self.error(*[right for right in needed if right.kind == kind] or needed)

    @contextmanager
    def needed(self, *needed: Right) -> Iterator[None]:
        """Raise ConfigurationError instead of an error with which a broker denies a right within the block."""
        try:
            yield
        except KafkaError as error:
            if denied := self.denied(error, *needed):
                raise denied from error
            raise


def operations(bits: int = _NOT_TOLD) -> frozenset[str] | None:
    """Return the operations that a broker allows; None if the broker does not report them, as brokers before Kafka 2.3."""
    if bits == _NOT_TOLD:
        return None
    return frozenset(name for code, name in OPERATIONS.items() if bits >> code & 1)


def _denial(error: BaseException | None) -> BaseException | None:
    """Return the error that denies a right: `error` or one of its causes; None if there is none.

    aiokafka raises some denials as the cause of an "unexpected error".
    """
    while error is not None and not isinstance(error, DENIALS):
        error = error.__cause__
    return error
