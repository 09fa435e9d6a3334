"""The cache of jars against a fake repository: what is fetched, what is refused, and what is said."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from app.local import jars
from app.local.jars import Jar
from tables.errors import BrokerUnavailableError, ConfigurationError

CONTENTS = {"org.a:one:1": b"first jar", "org.b:two_2.13:2.0.1": b"second jar"}
ONE = Jar("org.a", "one", "1", hashlib.sha256(b"first jar").hexdigest())
TWO = Jar("org.b", "two_2.13", "2.0.1", hashlib.sha256(b"second jar").hexdigest())
JARS = [ONE, TWO]


class Repository:
    """Serves CONTENTS and records what was asked; the first `failures` answers are errors."""

    def __init__(self, contents: dict[str, bytes] = CONTENTS, failures: int = 0) -> None:
        self.contents = contents
        self.failures = failures
        self.asked: list[str] = []

    def __call__(self, coordinate: str, folder: Path) -> Path:
        self.asked.append(coordinate)
        if len(self.asked) <= self.failures:
            raise ConnectionError("no route to host")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{coordinate.replace(':', '-')}.jar"
        with path.open("xb") as file:  # like jgo, which asserts that the file is new
            file.write(self.contents[coordinate])
        return path


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "_RETRY_PAUSE_S", 0)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"fetch.lock"}


def test_an_empty_cache_is_filled_and_a_filled_one_is_left_alone(tmp_path: Path) -> None:
    folder, repository = tmp_path / "new" / "cache", Repository()
    paths = jars.provide(JARS, folder, repository)
    assert [path.read_bytes() for path in paths] == list(CONTENTS.values())
    assert names(folder) == {"one-1.jar", "two_2.13-2.0.1.jar"}
    assert jars.provide(JARS, folder, repository) == paths
    assert repository.asked == list(CONTENTS)


def test_a_tampered_jar_is_fetched_again_and_no_other(tmp_path: Path) -> None:
    jars.provide(JARS, tmp_path, Repository())
    (tmp_path / ONE.file_name).write_bytes(b"first jar!")
    repository = Repository()
    jars.provide(JARS, tmp_path, repository)
    assert repository.asked == [ONE.coordinate]
    assert (tmp_path / ONE.file_name).read_bytes() == CONTENTS[ONE.coordinate]


def test_a_tampered_jar_is_gone_when_it_cannot_be_fetched_again(tmp_path: Path) -> None:
    jars.provide(JARS, tmp_path, Repository())
    (tmp_path / ONE.file_name).write_bytes(b"first jar!")
    with pytest.raises(BrokerUnavailableError):
        jars.provide(JARS, tmp_path, Repository(failures=99))
    assert names(tmp_path) == {TWO.file_name}


def test_a_download_with_another_hash_than_the_lock_is_refused_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"org\.b:two_2\.13:2\.0\.1 has another SHA-256 than"
    ) as caught:
        jars.provide(JARS, tmp_path, Repository(CONTENTS | {TWO.coordinate: b"changed on the way"}))
    assert TWO.sha256 in caught.value.message
    assert names(tmp_path) == {ONE.file_name}


def test_without_connection_the_error_names_the_jar_and_what_to_do(tmp_path: Path) -> None:
    repository = Repository(failures=99)
    with pytest.raises(BrokerUnavailableError) as caught:
        jars.provide(JARS, tmp_path, repository)
    assert ONE.coordinate in caught.value.message
    assert "ConnectionError" in caught.value.message
    assert "run once with a connection" in caught.value.remedy
    assert repository.asked == [ONE.coordinate] * 3
    assert names(tmp_path) == set()


def test_without_connection_a_filled_cache_serves(tmp_path: Path) -> None:
    jars.provide(JARS, tmp_path, Repository())
    assert jars.provide(JARS, tmp_path, Repository(failures=99))


def test_two_failed_downloads_are_repeated(tmp_path: Path) -> None:
    repository = Repository(failures=2)
    jars.provide(JARS, tmp_path, repository)
    assert repository.asked == [ONE.coordinate] * 3 + [TWO.coordinate]


def test_what_a_killed_fetch_left_behind_does_no_harm(tmp_path: Path) -> None:
    leftover = tmp_path / "incoming" / "0"
    leftover.mkdir(parents=True)
    (leftover / "org.a-one-1.jar").write_bytes(b"half")
    jars.provide(JARS, tmp_path, Repository())
    assert names(tmp_path) == {ONE.file_name, TWO.file_name}


def test_a_cache_folder_that_cannot_be_used_is_named_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="XDG_CACHE_HOME") as caught:
        jars.provide(JARS, tmp_path / "file" / "cache", Repository())
    assert str(tmp_path / "file" / "cache") in caught.value.message


def test_without_jgo_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(ConfigurationError, match=r"jgo is not installed.*pip install 'wordcount\[broker\]'"):
        jars.provide(JARS, tmp_path)


def test_the_lock_holds_the_33_jars_of_kafka_and_no_address() -> None:
    locked = jars.locked_jars()
    assert len(locked) == 33
    assert {jar.version for jar in locked if jar.group == "org.apache.kafka"} == {"4.3.1"}
    assert "/" not in jars.LOCK_PATH.read_text("ascii")


@pytest.mark.parametrize(
    "line",
    ["", "org.a:one:1", f"org.a:one {'0' * 64}", f"org.a:one:1 {'0' * 63}", f"org.a:../one:1 {'0' * 64}"],
)
def test_a_line_of_another_form_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ConfigurationError, match="line 2 of the lock"):
        jars.parse_lock(f"org.a:one:1 {'0' * 64}\n{line}\n")


def test_two_jars_with_one_file_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        jars.parse_lock(f"org.a:one:1 {'0' * 64}\norg.b:one:1 {'1' * 64}\n")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/shared"}, Path("/shared/wordcount")),
        ({"XDG_CACHE_HOME": "~/own"}, Path.home() / "own/wordcount"),
        ({"XDG_CACHE_HOME": ""}, Path.home() / ".cache" / "wordcount"),
        ({}, Path.home() / ".cache" / "wordcount"),
    ],
)
def test_the_cache_folder_is_the_users_cache(environ: dict[str, str], expected: Path) -> None:
    assert jars.cache_folder(environ) == expected
