"""Writes the bill of materials of the image: what `runtime.txt` installs in it, as CycloneDX 1.6.

    make sbom

Packages, versions and hashes are those of the lock file. Licences and dependencies are those that the same versions, installed beside
this Python, declare. The same lock file gives the same bytes: the file has no time, and its serial number comes from its content.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import fixup_id, is_expression
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "runtime.txt"

IMAGE: Final = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
"""Python and system of the image, by which markers decide what is installed in it."""


@dataclass(frozen=True)
class Locked:
    """A package of the lock file."""

    name: str
    version: str
    sha256: tuple[str, ...]


def main() -> None:
    """Write the bill of materials to `dist/`, and say where it is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    target = ROOT / "dist" / f"{project['name']}-{project['version']}.cdx.json"
    content = text(project, LOCK.read_text("utf-8"))
    target.parent.mkdir(exist_ok=True)
    target.write_text(content, "utf-8")
    sys.stdout.write(f"wrote {target.relative_to(ROOT)}\n")


def text(project: Mapping[str, Any], lock: str) -> str:
    """Return the bill of materials of a project, as in `pyproject.toml`, with the packages of a lock file.

    Raises:
        SystemExit: the environment lacks a package of the lock file, or has another version.
    """
    packages = list(locked(lock))
    root = Component(
        name=project["name"],
        version=project["version"],
        description=project["description"],
        type=ComponentType.APPLICATION,
        bom_ref=f"{project['name']}@{project['version']}",
        licenses=[LicenseFactory().make_from_string(project["license"])],
    )
    bom = Bom(serial_number=uuid5(NAMESPACE_OID, f"{project['name']} {project['version']}\n{lock}"))
    bom.metadata.component = root
    bom.metadata.timestamp = None  # type: ignore[assignment]  # none at all, because a clock is not repeatable
    components = {package.name: component(package) for package in packages}
    bom.components.update(components.values())
    for name, others in needed(project["dependencies"]).items():
        bom.register_dependency(components[name] if name else root, [components[other] for other in others])
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def locked(lock: str) -> Iterator[Locked]:
    """Yield the packages of a lock file that are installed in the image."""
    for entry in filter(None, re.split(r"\n(?=\S)", lock.strip())):
        pinned, *hashes = entry.replace("\\\n", "").split("--hash=sha256:")
        requirement = Requirement(pinned)
        if requirement.marker is None or requirement.marker.evaluate(IMAGE):
            (specifier,) = requirement.specifier
            yield Locked(
                canonicalize_name(requirement.name), specifier.version, tuple(part.strip() for part in hashes)
            )


def component(package: Locked) -> Component:
    """Return a package of the lock file as a component, with a hash for each of its files."""
    url = PackageURL("pypi", name=package.name, version=package.version)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=url.to_string(),
        purl=url,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.sha256],
        licenses=licenses(installed(package)),
    )


def installed(package: Locked) -> Distribution:
    """Return the package as it is installed beside this Python."""
    try:
        found = distribution(package.name)
    except PackageNotFoundError:
        raise SystemExit(f"sbom: {package.name} is not installed; run: make sbom") from None
    if found.version != package.version:
        raise SystemExit(
            f"sbom: {package.name} is installed as {found.version}, but locked as {package.version}; run: make sbom"
        )
    return found


def licenses(package: Distribution) -> list[License]:
    """Return the licences that a package declares: by SPDX if it does, or else by classifiers, or else as a short text."""
    says = package.metadata
    # Some packages put the whole text of their licence in the latter.
    texts = [*says.get_all("License-Expression", []), *says.get_all("License", [])]
    stated = next(filter(None, texts), "").strip()
    names = [
        line.rpartition(" :: ")[2]
        for line in says.get_all("Classifier", [])
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    if stated and (fixup_id(stated) or is_expression(stated) or not (names or "\n" in stated)):
        names = [stated]
    make = LicenseFactory().make_from_string
    return [make(name, license_acknowledgement=LicenseAcknowledgement.DECLARED) for name in names]


def needed(direct: list[str]) -> dict[str, set[str]]:
    """Return which packages each package needs in the image; those of the project itself are under an empty name."""
    found: dict[str, set[str]] = {"": set()}
    waiting: list[tuple[str, list[str], set[str]]] = [("", direct, set())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, lines, extras = waiting.pop()
        for requirement in map(Requirement, lines):
            other = canonicalize_name(requirement.name)
            wanted = requirement.marker is None or any(
                requirement.marker.evaluate({**IMAGE, "extra": extra}) for extra in ("", *extras)
            )
            if not wanted:
                continue
            found[name].add(other)
            found.setdefault(other, set())
            asked = (other, frozenset(requirement.extras))
            if asked not in seen:
                seen.add(asked)
                waiting.append((other, distribution(other).requires or [], requirement.extras))
    return found


if __name__ == "__main__":
    main()
