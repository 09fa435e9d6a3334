"""`make help` names every target with its duration, and the parts of `make test` leave no test out."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)[1].replace("\\\n", " ").split()
PARTS = [target for target in TARGETS if target.startswith("test-") and not target.startswith("test-fast")]
DURATION = r"(moment|seconds|minutes|hours|\d+ (s|min))"


def make(*arguments: str) -> str:
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def modules_of(part: str) -> list[Path]:
    """The test modules that a part runs; one line of its recipe starts pytest."""
    (command,) = (line for line in make("--dry-run", part).splitlines() if "/pytest " in line)
    words = shlex.split(command)
    assert not {"-m", "-k", "--deselect"} & set(words), command
    ignored = {path for word in words if word.startswith("--ignore=") for path in ROOT.glob(word[9:])}
    ignored_names = [word[14:] for word in words if word.startswith("--ignore-glob=")]
    named = [path for word in words if word.startswith("tests/") for path in ROOT.glob(word)]
    assert named, command
    found = [file for path in named for file in (path.rglob("test_*.py") if path.is_dir() else [path])]
    return [
        file for file in found if file not in ignored and not any(file.match(name) for name in ignored_names)
    ]


@pytest.mark.parametrize("target", TARGETS)
def test_help_names_every_target_with_its_duration(target):
    assert re.search(rf"^  make {target} +{DURATION}  +\w.+", make("--silent", "help"), re.MULTILINE)


def test_every_test_is_in_one_part_of_make_test():
    run = [file for part in PARTS for file in modules_of(part)]
    assert sorted(run) == sorted((ROOT / "tests").rglob("test_*.py"))
