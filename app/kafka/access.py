"""What each command has to be allowed on the brokers: one table for the worker's own checks, `doctor` and the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tables.kafka.rights import Right

if TYPE_CHECKING:
    from app.config.settings import Settings

Resource = Literal["input", "changelog", "dead letters", "group"]


@dataclass(frozen=True, slots=True)
class Need:
    """Operations on a resource.

    Attributes:
        resource: which one.
        operations: in the words of Kafka's own tools; those that they imply, as Describe, are left out.
        for_what: "" = the command cannot do without, else what is left out or has to be done by somebody else.
    """

    resource: Resource
    operations: tuple[str, ...]
    for_what: str = ""


_CREATE: Final = "where there is no such topic yet"
_EXTEND: Final = "where the input has got more partitions"
_CHECK: Final = "to check its configuration; without it that is not checked"

ACCESS: Final[Mapping[str, Sequence[Need]]] = {
    "worker": (
        Need("input", ("Read",)),
        Need("input", ("Create",), _CREATE),
        Need("changelog", ("Read", "Write")),
        Need("changelog", ("Create",), _CREATE),
        Need("changelog", ("Alter",), _EXTEND),
        Need("changelog", ("DescribeConfigs",), _CHECK),
        Need("dead letters", ("Write",)),
        Need("dead letters", ("Create",), _CREATE),
        Need("group", ("Read",)),
    ),
    "topics create": (
        Need("input", ("Describe",)),
        Need("input", ("Create",), _CREATE),
        Need("changelog", ("Describe",)),
        Need("changelog", ("Create",), _CREATE),
        Need("changelog", ("Alter",), _EXTEND),
        Need("changelog", ("DescribeConfigs",), _CHECK),
        Need("dead letters", ("Describe",)),
        Need("dead letters", ("Create",), _CREATE),
    ),
    "produce": (
        Need("input", ("Write",)),
        Need("input", ("Create",), _CREATE),
    ),
    "doctor": (
        Need("input", ("Describe",)),
        Need("input", ("DescribeConfigs",), _CHECK),
        Need("changelog", ("Describe",)),
        Need("changelog", ("DescribeConfigs",), _CHECK),
        Need("dead letters", ("Describe",)),
        Need("group", ("Describe",)),
    ),
    "verify": (
        Need("input", ("Read",)),
        Need("changelog", ("Read",)),
    ),
    "reset": (
        Need("input", ("Describe",)),
        Need("changelog", ("Read", "Write", "Create", "Delete")),
        Need("dead letters", ("Describe",)),
        Need("group", ("Describe",)),
        Need("group", ("Delete",), "to delete its offsets, which only lag tools read"),
    ),
    "rebuild": (Need("changelog", ("Describe",)),),
}
"""By command; `run` brings a broker of its own, and the others ask none."""

IMPLIED: Final = frozenset({"Read", "Write", "Delete", "Alter"})
"""Each of them implies Describe."""


def needed_rights(settings: Settings, command: str) -> list[Right]:
    """Every right that a command cannot do without, as these settings name the resources; with what they imply."""
    found: dict[Right, None] = {}
    for need in ACCESS[command]:
        if not need.for_what:
            implied = ("Describe",) if IMPLIED & set(need.operations) else ()
            for operation in (*implied, *need.operations):
                found[_right(settings, need.resource, operation)] = None
    return list(found)


def _right(settings: Settings, resource: Resource, operation: str) -> Right:
    if resource == "group":
        return Right(operation, "group", settings.group)
    names = {
        "input": settings.topics.input,
        "changelog": settings.topics.changelog,
        "dead letters": settings.topics.dead_letters,
    }
    return Right(operation, "topic", names[resource])
