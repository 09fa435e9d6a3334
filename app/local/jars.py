"""The jars of the embedded broker: downloaded once, and at every start compared with the hashes in `jars.lock`.

A line of the lock names one jar, `group:artifact:version sha256`, without an address, because jgo knows where Maven artifacts are.
The lock names every jar that a broker with TLS, SASL, transactions and all compressions loads, 33 of the 46 that Kafka declares. So no
POM is read, and no version is chosen at run time. jgo only warns if a checksum differs, writes files in place, and fails when two
processes share its cache. Therefore only one process at a time lets jgo download, into an empty folder, and a jar is moved into the
cache only if its hash is the locked hash.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tables.errors import BrokerUnavailableError, ConfigurationError
from tables.store.file_lock import FileLock

LOCK_PATH = Path(__file__).with_name("jars.lock")
INSTALL_REMEDY = "install the extra of the embedded broker: pip install 'wordcount[broker]'"

# The time-out applies to each read, so that a slow network is no error; a silent network is reported after one time-out per attempt.
_TIMEOUT_S = 10
_DOWNLOAD_ATTEMPTS = 3
_RETRY_PAUSE_S = 0.3

_LINE = re.compile(r"([\w.-]+):([\w.-]+):([\w.-]+) ([0-9a-f]{64})")
_log = logging.getLogger(__name__)

Fetch = Callable[[str, Path], Path]
"""A function that downloads the jar of a coordinate into a folder and returns its file, or raises OSError or RuntimeError."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock. `sha256` is lower-case hexadecimal."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """`group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """Name of the file in the cache, without the group, because the artifact names in the lock are unique."""
        return f"{self.artifact}-{self.version}.jar"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Return the jars that the text of a lock names, one per line.

    Raises:
        ConfigurationError: a line has another form, or two jars would share a file name.
    """
    jars = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigurationError(
                f"line {number} of the lock of jars is {line!r}", "write `group:artifact:version sha256`"
            )
        jars.append(Jar(*match.groups()))
    if len({jar.file_name for jar in jars}) != len(jars):
        raise ConfigurationError("the lock of jars names a jar twice", "keep one version of each artifact")
    return tuple(jars)


def locked_jars() -> tuple[Jar, ...]:
    """Return the jars of the embedded broker."""
    return parse_lock(LOCK_PATH.read_text("ascii"))


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return `$XDG_CACHE_HOME/wordcount`, or `~/.cache/wordcount` if the variable is unset or empty."""
    if shared := environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "wordcount"
    return Path.home() / ".cache" / "wordcount"


def provide(jars: Sequence[Jar], folder: Path, fetch: Fetch | None = None) -> list[Path]:
    """Return the files of `jars` in `folder`, each with its locked hash; download jars that are missing or have another hash.

    If all jars are there, this takes about 0.1 s and writes nothing, so that a cache may be read-only. Several processes may call this
    function on one folder at the same time: one downloads, the others wait and find its jars.

    Args:
        jars: what to provide.
        folder: cache, made when needed.
        fetch: downloads one jar; jgo by default.

    Raises:
        BrokerUnavailableError: a jar is missing and cannot be downloaded.
        ConfigurationError: a download differs from the lock, the folder cannot be used, or jgo is missing.
    """
    try:
        if any(not _is_locked_file(folder / jar.file_name, jar) for jar in jars):
            with closing(FileLock(folder / "fetch.lock")) as lock:
                lock.take(math.inf)
                _fill(jars, folder, fetch or _fetch_with_jgo())
    except OSError as error:
        raise ConfigurationError(
            f"the cache folder {folder} cannot be used ({error.strerror})",
            "free some space, correct the rights of the folder, or set XDG_CACHE_HOME to another folder",
        ) from error
    return [folder / jar.file_name for jar in jars]


def _fill(jars: Sequence[Jar], folder: Path, fetch: Fetch) -> None:
    missing = [jar for jar in jars if not _is_locked_file(folder / jar.file_name, jar)]
    if missing:
        _log.info("fetching %d of the %d jars of Apache Kafka into %s", len(missing), len(jars), folder)
    incoming = folder / "incoming"
    # A process that was killed while it fetched leaves this folder behind.
    shutil.rmtree(incoming, ignore_errors=True)
    try:
        for jar in missing:
            path = folder / jar.file_name
            path.unlink(missing_ok=True)
            fetched = _fetch_with_retries(jar, folder, incoming, fetch)
            if not _is_locked_file(fetched, jar):
                raise ConfigurationError(
                    f"the downloaded jar {jar.coordinate} has another SHA-256 than the locked {jar.sha256}",
                    "the download was deleted: either the lock is wrong, or a proxy or mirror has changed the file",
                )
            fetched.replace(path)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _fetch_with_retries(jar: Jar, folder: Path, incoming: Path, fetch: Fetch) -> Path:
    failure: Exception | None = None
    for attempt in range(_DOWNLOAD_ATTEMPTS):
        time.sleep(_RETRY_PAUSE_S * attempt)
        try:
            # Each attempt has a folder of its own, because jgo asserts that the file it writes does not exist yet.
            return fetch(jar.coordinate, incoming / str(attempt))
        except (OSError, RuntimeError) as error:
            # jgo raises an OSError for every network error, and RuntimeError for any HTTP status but 200.
            failure = error
    reason = getattr(failure, "strerror", None) or type(failure).__name__
    raise BrokerUnavailableError(
        f"the embedded broker needs {jar.coordinate}: not in {folder}, and the download failed ({reason})",
        "run once with a connection to Maven Central, or name a filled cache in XDG_CACHE_HOME",
    ) from failure


def _fetch_with_jgo() -> Fetch:
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise ConfigurationError(
            "jgo is not installed: this package downloads the embedded broker", INSTALL_REMEDY
        ) from error

    def fetch(coordinate: str, folder: Path) -> Path:
        context = MavenContext(repo_cache=folder, timeout=_TIMEOUT_S)
        return Path(context.create_dependency(coordinate).artifact.resolve())

    return fetch


def _is_locked_file(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except (FileNotFoundError, NotADirectoryError):
        return False
