"""A failing test names the command that repeats it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAILING = """
import pytest
from hypothesis import given, strategies

@pytest.mark.parametrize("text", ["two words"])
def test_of_a_text(text):
    assert not text

def test_of_chance(record_property):
    record_property("repeat_with", "CHAOS_SEED=17")
    assert False

def test_of_a_schedule(record_property):
    record_property("repeat_with", "SIMULATION_FIRST=0")
    record_property("repeat", "make simulate SEED=17 STEPS=3-9")
    assert False

@given(strategies.integers())
def test_of_examples(number):
    assert number < 100

@pytest.fixture
def broken():
    raise RuntimeError

def test_that_never_begins(broken): ...

def test_that_passes(): ...
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints of failing tests under our conftest."""
    folder = tmp_path_factory.mktemp("root")
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    (folder / "tests" / "test_failing.py").write_text(FAILING)
    pytest_command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml"]
    ended = subprocess.run(
        [*pytest_command, "--rootdir", folder, "tests"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout + ended.stderr
    return ended.stdout


def test_each_failing_test_is_named_once_with_its_command(output: str) -> None:
    assert [line for line in output.splitlines() if line.startswith("repeat: ")] == [
        "repeat: .venv/bin/pytest 'tests/test_failing.py::test_of_a_text[two words]'",
        "repeat: CHAOS_SEED=17 .venv/bin/pytest tests/test_failing.py::test_of_chance",
        "repeat: make simulate SEED=17 STEPS=3-9",
        "repeat: .venv/bin/pytest tests/test_failing.py::test_of_examples",
        "repeat: .venv/bin/pytest tests/test_failing.py::test_that_never_begins",
    ]


def test_a_failing_example_is_printed_with_what_tries_it_again(output: str) -> None:
    assert "@reproduce_failure(" in output
