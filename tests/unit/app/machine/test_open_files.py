"""The limit of open files is raised, and compared with what partitions need."""

import subprocess
import sys

import pytest

from app.machine import open_files

RAISE = """
import resource
from app.machine import open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
before = open_files.limit()
open_files.raise_limit()
print(before, open_files.limit(), open_files.highest_limit())
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    found = subprocess.run([sys.executable, "-c", RAISE], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["64", "200", "200"]


@pytest.mark.parametrize(("partitions", "files"), [(8, 308), (300, 2206)])
def test_what_partitions_need_is_6_and_a_half_files_each_and_some_for_the_process(
    partitions: int, files: int
) -> None:
    assert open_files.needed(partitions) == files
    assert open_files.too_few(partitions, files) == ""
    assert f"{partitions} partitions" in open_files.too_few(partitions, files - 1)
