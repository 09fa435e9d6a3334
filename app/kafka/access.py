"""Rights on the brokers that each command needs: one table for the worker's own checks, `doctor` and the reference page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tables.kafka.rights import Right

if TYPE_CHECKING:
    from app.config.settings import Settings

Resource = Literal["input", "changelog", "dead letters", "watches", "group"]


@dataclass(frozen=True, slots=True)
class Need:
    """Operations on a resource that a command needs.

    Attributes:
        resource: the resource.
        operations: named as Kafka's own tools name operations; an operation that another one implies, as Describe, is left out.
        for_what: "" = the command needs the operations always, or always with `setting`; else when or for what it needs them.
        setting: name of the setting without which a command does not need the operations; "" = there is no such setting.
    """

    resource: Resource
    operations: tuple[str, ...]
    for_what: str = ""
    setting: str = ""


_CREATE: Final = "if the topic does not exist yet"
_EXTEND: Final = "if the input topic has got more partitions"
_CHECK: Final = "to check the topic's configuration, which is otherwise not checked"
_RETENTION: Final = (
    "with `--timestamps`, to refuse lines that are older than the topic keeps; otherwise that is not checked"
)
_FIND: Final = (
    "without `--url`, to find the workers of the group; otherwise the worker of the HTTP settings is asked"
)

ACCESS: Final[Mapping[str, Sequence[Need]]] = {
    "worker": (
        Need("input", ("Read",)),
        Need("input", ("Write",), setting="ingest"),
        Need("input", ("Create",), _CREATE),
        Need("changelog", ("Read", "Write")),
        Need("changelog", ("Create",), _CREATE),
        Need("changelog", ("Alter",), _EXTEND),
        Need("changelog", ("DescribeConfigs",), _CHECK),
        Need("dead letters", ("Write",)),
        Need("dead letters", ("Create",), _CREATE),
        Need("watches", ("Read", "Write"), setting="watches"),
        Need("watches", ("Create",), _CREATE, "watches"),
        Need("watches", ("DescribeConfigs",), _CHECK, "watches"),
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
        Need("watches", ("Describe",), setting="watches"),
        Need("watches", ("Create",), _CREATE, "watches"),
        Need("watches", ("DescribeConfigs",), _CHECK, "watches"),
    ),
    "produce": (
        Need("input", ("Write",)),
        Need("input", ("Create",), _CREATE),
        Need("input", ("DescribeConfigs",), _RETENTION),
    ),
    "view": (Need("input", ("Describe",)), Need("changelog", ("Read",))),
    "doctor": (
        Need("input", ("Describe",)),
        Need("input", ("DescribeConfigs",), _CHECK),
        Need("changelog", ("Describe",)),
        Need("changelog", ("DescribeConfigs",), _CHECK),
        Need("dead letters", ("Describe",)),
        Need("watches", ("Describe",), setting="watches"),
        Need("watches", ("DescribeConfigs",), _CHECK, "watches"),
        Need("group", ("Describe",)),
    ),
    **{command: (Need("group", ("Describe",), _FIND),) for command in ("top", "get")},
    "verify": (
        Need("input", ("Read",)),
        Need("changelog", ("Read",)),
    ),
    "reset": (
        Need("input", ("Describe",)),
        Need("changelog", ("Read", "Write", "Create", "Delete")),
        Need("dead letters", ("Describe",)),
        Need("group", ("Describe",)),
        Need("group", ("Delete",), "to delete the group's offsets, which only lag tools read"),
    ),
    "rebuild": (Need("changelog", ("Describe",)),),
}
"""Needs by command. `run` starts its own broker, and the commands that are not listed ask no broker."""

IMPLIED: Final = frozenset({"Read", "Write", "Delete", "Alter"})
"""Operations that imply Describe."""


def needed_rights(settings: Settings, command: str) -> list[Right]:
    """Return every right that a command always needs, implied rights included, on the resources that the settings name."""
    found: dict[Right, None] = {}
    for need in ACCESS[command]:
        if not need.for_what and (not need.setting or getattr(settings, need.setting)):
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
        "watches": settings.topics.watches,
    }
    return Right(operation, "topic", names[resource])
