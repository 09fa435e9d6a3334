"""Compiles the lock files from pyproject.toml: every package by name, version and hash, for every Python and system.

    make lock

`dev.txt` holds everything; the others are parts of it, with the same versions:
`runtime.txt` for the image, `run.txt` with the embedded broker for `make run`, `build.txt` to install the project itself.
`peers-*.txt` stand apart: each is the environment of another word count, for `make bench-peers`.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD_TOOLS = ("hatchling", "editables")


def main() -> None:
    """Compile all files; the constraint keeps the parts equal to the whole."""
    whole = ["-c", "requirements/dev.txt"]
    compile_lock("dev.txt", "pyproject.toml", "--extra", "broker", "--group", "dev")
    compile_lock("runtime.txt", "pyproject.toml", *whole)
    compile_lock("run.txt", "pyproject.toml", "--extra", "broker", *whole)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    tools = [line for line in groups["dev"] if line.split("==")[0] in BUILD_TOOLS]
    compile_lock("build.txt", "-", *whole, text="\n".join(tools))
    for name, pinned in groups.items():
        if name.startswith("peers-"):
            compile_lock(f"{name}.txt", "-", text="\n".join(pinned))


def compile_lock(name: str, source: str, *options: str, text: str | None = None) -> None:
    """Run uv's resolver; it writes neither addresses nor paths."""
    command = [sys.executable, "-m", "uv", "pip", "compile", source, "-o", f"requirements/{name}", "--quiet"]
    plain = ["--universal", "--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate"]
    subprocess.run(  # noqa: S603 - a fixed command
        [*command, *plain, "--python-version", "3.11", *options], cwd=ROOT, input=text, text=True, check=True
    )


if __name__ == "__main__":
    main()
