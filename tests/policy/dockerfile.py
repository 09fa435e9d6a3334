"""The instructions of the Dockerfile, for tests of the image and of what runs it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
Instruction = tuple[str, str]


def stages(text: str) -> list[list[Instruction]]:
    """Instructions as (name, arguments), one list per stage; what precedes the first FROM comes first."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found: list[list[Instruction]] = [[]]
    for line in code.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, arguments = line.split(maxsplit=1)
        if name == "FROM":
            found.append([])
        found[-1].append((name, re.sub(r"\s+", " ", arguments.strip())))
    return found


PREAMBLE, BUILDER, RUNTIME = stages((ROOT / "Dockerfile").read_text())


def arguments(stage: list[Instruction], name: str) -> list[str]:
    return [given for instruction, given in stage if instruction == name]


def only(stage: list[Instruction], name: str) -> str:
    (given,) = arguments(stage, name)
    return given


def environment() -> dict[str, str]:
    pairs = (pair.split("=", 1) for given in arguments(RUNTIME, "ENV") for pair in given.split())
    return dict(pairs)
