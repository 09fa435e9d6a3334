"""The bill of materials of the image: valid, repeatable, and what the lock file says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.markers import Marker

from requirements import sbom

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements" / "runtime.txt").read_text("utf-8")

Document = dict[str, Any]


def text_of(lock: str = LOCK) -> str:
    return sbom.text(PROJECT, lock)


@pytest.fixture(scope="module")
def document() -> Document:
    return json.loads(text_of())


def in_lock() -> dict[tuple[str, str], set[str]]:
    """Hashes by name and version of each package that the lock file gives to Linux, read by other means than the script does."""
    found = {}
    for line in LOCK.replace("\\\n", " ").splitlines():
        name, version = re.match(r"([\w.-]+)==([\w.]+)", line).groups()
        marker = re.search(r" ; (.+?) +--hash", line)
        if marker is None or Marker(marker[1]).evaluate({"sys_platform": "linux", "python_version": "3.13"}):
            found[name, version] = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    return found


def differences(document: Document) -> set[tuple[str, str]]:
    """Packages that only the lock file or only the document has, and those with other hashes."""
    said = {
        (part["name"], part["version"]): {digest["content"] for digest in part["hashes"]}
        for part in document["components"]
    }
    locked = in_lock()
    return {key for key in said.keys() | locked.keys() if said.get(key) != locked.get(key)}


def test_it_is_valid_by_the_schema_of_the_format() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text_of()) is None
    assert validator.validate_str(text_of().replace('"library"', '"book"', 1)) is not None


def test_it_has_the_packages_and_hashes_of_the_lock_file(document: Document) -> None:
    assert len(document["components"]) > len(PROJECT["dependencies"])
    assert differences(document) == set()


def test_a_package_that_is_missing_is_noticed(document: Document) -> None:
    first, *others = document["components"]
    assert differences({"components": others}) == {(first["name"], first["version"])}
    other_bytes = {**first, "hashes": first["hashes"][1:]}
    assert differences({"components": [other_bytes, *others]}) == {(first["name"], first["version"])}


def test_it_describes_the_project_and_the_python_of_the_image(document: Document) -> None:
    about = document["metadata"]["component"]
    assert (about["name"], about["version"]) == (PROJECT["name"], PROJECT["version"])
    python = re.search(r"^ARG PYTHON_IMAGE=python:(3\.\d+)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert python[1] == sbom.IMAGE["python_version"]
    assert sbom.IMAGE["python_full_version"].startswith(f"{python[1]}.")


def test_every_package_has_its_address_and_a_licence(document: Document) -> None:
    for part in document["components"]:
        assert part["purl"] == part["bom-ref"] == f"pkg:pypi/{part['name']}@{part['version']}"
        assert part.get("licenses"), part["name"]


def test_the_image_needs_every_package_and_no_other(document: Document) -> None:
    needs = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in document["dependencies"]}
    reached, waiting = set(), [document["metadata"]["component"]["bom-ref"]]
    while waiting:
        if (ref := waiting.pop()) not in reached:
            reached.add(ref)
            waiting.extend(needs[ref])
    assert reached == needs.keys()
    assert len(needs) == len(document["components"]) + 1


@pytest.mark.slow
def test_the_same_lock_file_gives_the_same_bytes() -> None:
    code = "import sys; from tests.policy.test_sbom import text_of; sys.stdout.write(text_of())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "7"}
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert other.stdout == text_of()
    assert "timestamp" not in json.loads(other.stdout)["metadata"]


def test_another_lock_file_gives_another_serial_number(document: Document) -> None:
    fewer = re.sub(r"(?s)(aiohttp==.+?--hash=sha256:[0-9a-f]{64}).+?\n(?=\S)", r"\1\n", LOCK, count=1)
    assert fewer != LOCK
    assert json.loads(text_of(fewer))["serialNumber"] != document["serialNumber"]


def test_another_version_than_the_lock_file_has_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"h11 is installed as .+, but locked as 0\.0\.1"):
        text_of(re.sub(r"h11==\S+", "h11==0.0.1", LOCK))
