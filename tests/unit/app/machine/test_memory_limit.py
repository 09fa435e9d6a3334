"""The memory limit that settings, cgroups and the machine give a worker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.config.loading import load_settings
from app.machine import memory_limit
from app.machine.memory_limit import cgroup_limit, memory_budget
from app.operate import diagnosis
from tables.errors import ConfigurationError
from tables.pace.memory import DEFAULT_BYTES, MIB


def system(root: Path, groups: str, **limits: str) -> Path:
    """A file system with these cgroups; `limits` by path below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for path, limit in limits.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(limit + "\n")
    return root


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "1073741824"}, 1 << 30),
        ("0::/\n", {"memory.max": "max"}, None),
        ("0::/pod/worker\n", {"pod/memory.max": "1000", "pod/worker/memory.max": "max"}, 1000),
        ("0::/pod/worker\n", {"pod/memory.max": "1000", "pod/worker/memory.max": "900"}, 900),
        ("0::/of/the/host\n", {"memory.max": "700"}, 700),
        ("9:memory:/a\n3:cpu:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "5000"}, 5000),
        ("9:memory:/of/the/host\n", {"memory/memory.limit_in_bytes": "6000"}, 6000),
        ("9:cpu,memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("9:cpu:/\n", {"memory/memory.limit_in_bytes": "6000"}, None),
        ("", {}, None),
    ],
)
def test_the_least_limit_of_all_groups_counts(
    groups: str, limits: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    assert cgroup_limit(system(tmp_path, groups, **limits)) == expected


def test_a_system_without_cgroups_has_no_limit(tmp_path: Path) -> None:
    assert cgroup_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("limit", "given", "expected"),
    [
        (None, None, DEFAULT_BYTES),
        (1 << 30, None, DEFAULT_BYTES),
        (512 * MIB, None, 384 * MIB),
        (None, 2000, 2000 * MIB),
        (1 << 30, 1024, 1 << 30),
    ],
)
def test_the_budget_is_what_is_set_or_what_suits_the_container(
    limit: int | None, given: int | None, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory_limit, "cgroup_limit", lambda: limit)
    monkeypatch.setattr(memory_limit.os, "sysconf", lambda _: 1 << 20)
    assert memory_budget(load_settings(memory_mb=given)) == expected


def test_half_of_a_small_machine_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory_limit, "cgroup_limit", lambda: None)
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1 << 17}
    monkeypatch.setattr(memory_limit.os, "sysconf", pages.__getitem__)
    assert memory_budget(load_settings()) == 256 * MIB


def test_more_than_the_container_has_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory_limit, "cgroup_limit", lambda: 1 << 30)
    with pytest.raises(ConfigurationError, match=r"WORDCOUNT_MEMORY_MB is 2000, .* 1024 MiB; .* 768 or less"):
        memory_budget(load_settings(memory_mb=2000))


@pytest.mark.parametrize(
    ("limit", "given", "partitions", "status", "said"),
    [
        (None, 768, 8, "ok", r"768 MiB may be taken, \d+ needed for all 8 partitions"),
        (
            None,
            768,
            2000,
            "warn",
            r"may take 768 MiB, but a worker that has all 2000 partitions needs \d+ MiB",
        ),
        (512 * MIB, 768, 8, "fail", "WORDCOUNT_MEMORY_MB is 768, and the container's limit is 512 MiB"),
    ],
)
def test_doctor_compares_the_budget_with_container_and_partitions(
    limit: int | None,
    given: int,
    partitions: int,
    status: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory_limit, "cgroup_limit", lambda: limit)
    check = diagnosis._memory(load_settings(memory_mb=given), partitions)
    assert check.status == status
    assert re.search(said, check.detail)
    assert bool(check.remedy) == (status != "ok")
