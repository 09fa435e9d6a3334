"""Which Chromium is taken, and what a person reads where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.chromium import NAMES, REMEDY, VARIABLE, NoChromiumError, chromium, find

ROOT = Path(__file__).parents[2]


def program(path: Path) -> Path:
    """Make a program that ends at once."""
    path.write_text("#!/bin/sh\necho error: no browser >&2\nexit 1\n")
    path.chmod(0o755)
    return path


def test_the_first_of_the_usual_names_is_taken_and_a_named_program_before_all(tmp_path: Path) -> None:
    path = {"PATH": str(tmp_path)}
    for name in reversed(NAMES):
        made = program(tmp_path / name)
        assert find(path) == made
    own = program(tmp_path / "own")
    assert find({**path, VARIABLE: str(own)}) == own


@pytest.mark.parametrize("variables", [{}, {VARIABLE: "no-such-program"}], ids=["none", "a wrong name"])
def test_where_none_is_found_the_line_says_how_to_install_it(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    with pytest.raises(NoChromiumError) as caught:
        find({"PATH": str(tmp_path), **variables})
    assert REMEDY in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_program_that_does_not_start_is_named_in_one_line(tmp_path: Path) -> None:
    broken = program(tmp_path / "chromium")
    with pytest.raises(NoChromiumError) as caught:
        async with chromium({"PATH": str(tmp_path)}):
            pass
    assert str(caught.value).startswith(f"{broken} does not start (")
    assert REMEDY in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_chromium_tests_fail_with_the_line_and_start_nothing_else() -> None:
    module = "tests/browser/test_accessibility.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", module],
        cwd=ROOT,
        env={**os.environ, VARIABLE: "no-such-program"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert REMEDY in done.stdout
    assert "passed" not in done.stdout
    assert "skipped" not in done.stdout
