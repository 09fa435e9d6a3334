"""Rights on the brokers: whatever they do not allow becomes one error, which says what is missing, for whom, and how it is granted.

A retry does not help, so it is the operator's to mend. Nothing is lost meanwhile: what was not flushed is counted again.
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
"""Operations by their bit in the answers of brokers."""

DENIALS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
_NOT_TOLD = -(2**31)


class Right(NamedTuple):
    """An operation on a resource, in the words of Kafka's own tools."""

    operation: str
    kind: Literal["topic", "group"]
    name: str


@dataclass(frozen=True, slots=True)
class Rights:
    """Whose rights, and where they are granted.

    Attributes:
        principal: as brokers know the user by default.
        bootstrap_servers: of those brokers.
    """

    principal: str
    bootstrap_servers: str

    @classmethod
    def of(cls, connection: Mapping[str, Any]) -> Self:
        """Of whoever connects with these keyword arguments of a Kafka client."""
        name = connection.get("sasl_plain_username")
        if name is None:
            name = "ANONYMOUS" if connection.get("ssl_context") is None else "<subject of the certificate>"
        servers = connection.get("bootstrap_servers", "localhost")
        return cls(f"User:{name}", servers if isinstance(servers, str) else ",".join(servers))

    def error(self, *missing: Right) -> ConfigurationError:
        """What to tell the operator."""
        what = ", ".join(f'{right.operation} on {right.kind} "{right.name}"' for right in missing)
        return ConfigurationError(
            f"{self.principal} has no right to {what}", f"run: {' && '.join(map(self.command, missing))}"
        )

    def command(self, right: Right) -> str:
        """The line for Kafka's own tool that grants a right."""
        words = ["kafka-acls.sh", "--bootstrap-server", self.bootstrap_servers, "--add"]
        words += ["--allow-principal", shlex.quote(self.principal)]
        words += ["--operation", right.operation, f"--{right.kind}", right.name]
        return " ".join(words)

    def denied(self, error: BaseException, *needed: Right) -> ConfigurationError | None:
        """The error of a request that needed these rights; None where it failed for another reason.

        Which of them is missing is seen by its kind: a broker tells of topic or group. It tells of the cluster where a producer may
        write to no topic at all.
        """
        denial = _denial(error)
        if denial is None:
            return None
        kind = "group" if isinstance(denial, GroupAuthorizationFailedError) else "topic"
        return self.error(*[right for right in needed if right.kind == kind] or needed)

    @contextmanager
    def needed(self, *needed: Right) -> Iterator[None]:
        """Turn a denial within the block into our error. Raises ConfigurationError."""
        try:
            yield
        except KafkaError as error:
            if denied := self.denied(error, *needed):
                raise denied from error
            raise


def operations(bits: int = _NOT_TOLD) -> frozenset[str] | None:
    """Operations that a broker says are allowed; None where it does not say, as brokers before Kafka 2.3 do."""
    if bits == _NOT_TOLD:
        return None
    return frozenset(name for code, name in OPERATIONS.items() if bits >> code & 1)


def _denial(error: BaseException | None) -> BaseException | None:
    """aiokafka hides some of them behind an "unexpected error", as whose cause they are known."""
    while error is not None and not isinstance(error, DENIALS):
        error = error.__cause__
    return error
