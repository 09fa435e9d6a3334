"""The checks of `wordcount doctor` that concern this machine: versions, state folder, disk, HTTP port, file of watches.

The check of the state folder writes a temporary file there.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from app.config.watches import read_watches
from app.machine.sockets import bound_to
from app.operate.check import Check
from app.operate.worker_client import ask_version, worker_address
from app.watches.signature import read_secret
from tables.errors import ConfigurationError, WordcountError

if TYPE_CHECKING:
    from app.config.settings import Settings

_PACKAGES: Final = ("faust-streaming", "aiokafka", "rocksdict", "pyarrow")
_DISK_FAIL_BYTES: Final = 100 * 2**20
_DISK_WARN_BYTES: Final = 2**30


def machine_checks(settings: Settings) -> list[Check]:
    """Check versions, state folder, disk and HTTP port of this machine, and the file of watches if there is one."""
    watches = [] if settings.watches is None else [_watches(settings)]
    return [_versions(), _state_folder(settings), _disk(settings), _http_port(settings), *watches]


def _versions() -> Check:
    versions = [
        f"Python {platform.python_version()}",
        *(f"{name} {metadata.version(name)}" for name in _PACKAGES),
    ]
    return Check("versions", "ok", ", ".join(versions))


def _state_folder(settings: Settings) -> Check:
    title = "state folder"
    folder = settings.state_dir
    existing = _existing(folder)
    remedy = "set WORDCOUNT_STATE_DIR to a folder of yours"
    if not existing.is_dir():
        return Check(title, "fail", f"{existing} is not a folder", remedy)
    try:
        # Permissions do not show that a file system was mounted read-only, or has become read-only after an error.
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return Check(title, "fail", f"{existing} cannot be written ({error.strerror})", remedy)
    return Check(title, "ok", f"{folder} {'can be written' if existing == folder else 'can be made'}")


def _watches(settings: Settings) -> Check:
    title = "watches"
    try:
        watches = read_watches(settings)
        for watch in watches:
            read_secret(watch.secret_file, watch.name)
    except ConfigurationError as error:
        return Check(title, "fail", error.message, error.remedy)
    receivers = ", ".join(sorted({watch.receiver for watch in watches}))
    return Check(title, "ok", f"{len(watches)} in {settings.watches}; told are {receivers}")


def _disk(settings: Settings) -> Check:
    free_bytes = shutil.disk_usage(_existing(settings.state_dir)).free
    detail = f"{free_bytes / 2**30:,.1f} GiB free under {settings.state_dir}"
    if free_bytes >= _DISK_WARN_BYTES:
        return Check("disk", "ok", detail)
    status: Literal["warn", "fail"] = "warn" if free_bytes >= _DISK_FAIL_BYTES else "fail"
    return Check("disk", status, detail, "free some space, or set WORDCOUNT_STATE_DIR to a larger disk")


def _http_port(settings: Settings) -> Check:
    title = "HTTP port"
    if not settings.http_port:
        return Check(title, "ok", "any free one")
    where = f"{settings.http_host}:{settings.http_port}"
    try:
        bound_to(settings.http_host, settings.http_port).close()
    except OSError as error:
        return _taken_port(title, where, settings, error)
    return Check(title, "ok", f"{where} is free")


def _taken_port(title: str, where: str, settings: Settings, error: OSError) -> Check:
    try:
        version = ask_version(worker_address(settings)).version
    except WordcountError as other:
        return Check(
            title,
            "fail",
            f"{where} cannot be used ({error.strerror}); {other.message}",
            other.remedy
            if isinstance(other, ConfigurationError)
            else "end the process that listens there, or set WORDCOUNT_HTTP_HOST and WORDCOUNT_HTTP_PORT",
        )
    return Check(title, "ok", f"a worker of version {version} answers at {where}")


def _existing(folder: Path) -> Path:
    """Return `folder`, or its nearest ancestor that exists."""
    absolute = folder.absolute()
    return folder if folder.exists() else next(parent for parent in absolute.parents if parent.exists())
