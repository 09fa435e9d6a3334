"""Exit codes: which error ends with which code, and that only one module defines the numbers."""

import errno
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.exit_codes import exit_code
from app.output import OutputError
from tables.errors import BadRequestError, BrokerUnavailableError, ConfigurationError, StalledError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BrokerUnavailableError("no answer"), 1),
        (OSError(errno.ENOSPC, "disk full"), 1),
        (RuntimeError("a mistake of the program"), 1),
        (ConfigurationError("a setting is wrong"), 2),
        (BadRequestError("a flag is wrong"), 2),
        (OutputError(OSError(errno.ENOSPC, "disk full")), 74),
        (StalledError("nothing moves"), 75),
        (OutputError(BrokenPipeError(errno.EPIPE, "closed")), 141),
    ],
    ids=repr,
)
def test_an_error_ends_with_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_only_the_table_has_numbers() -> None:
    exits = re.compile(r"(?:\bExit|SystemExit|sys\.exit|os\._exit)\((?:code=)?[1-9]")
    found = [path for path in (ROOT / "app").rglob("*.py") if exits.search(path.read_text("utf-8"))]
    assert found == []


def test_the_first_code_of_a_process_imports_no_errors_before_it_has_a_handler() -> None:
    program = "import sys, app.entry; print(sorted({name for name in sys.modules if name.startswith(('app', 'tables'))}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "['app', 'app.entry', 'app.exit_codes']"
