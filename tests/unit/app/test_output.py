"""Output of commands: text from outside is escaped, and output that cannot be written or that no process reads is handled."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.exit_codes import EXIT_OUTPUT, EXIT_READER_GONE, EXIT_TERMINATED
from app.printable import printable

pytestmark = pytest.mark.slow  # most of it starts processes

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "app"]
HOSTILE = "\x1b[31m\u202e\u200b\u061c\U000e0041\x85\x7f\nwordcount: forged"
WRITERS = {
    "app/output.py",
    "app/worker/console.py",
    "app/worker/ending.py",
    "app/commands/tokenize.py",
    "app/operate/watch.py",
}
"""Modules that may write to a standard stream, or flush it; all others say their lines by `app.output`."""


def ran(
    *arguments: str, folder: Path, stdin: bytes = b"", stdout: int = subprocess.PIPE, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(variables),
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}


def assert_nothing_acts(done: subprocess.CompletedProcess[bytes]) -> None:
    for stream in (done.stdout, done.stderr):
        for line in stream.decode().splitlines(keepends=True):
            assert printable(line.rstrip("\n")) == line.rstrip("\n"), line
    assert b"\nwordcount: forged" not in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [HOSTILE],
        [f"--{HOSTILE}"],
        ["topics", HOSTILE],
        ["top", "-k", HOSTILE],
        ["top", "--url", HOSTILE],
        ["get", "--url", f"http://127.0.0.1:1/{HOSTILE}", HOSTILE],
        ["tokenize", HOSTILE],
        ["tokenize", "--profile", HOSTILE],
        ["produce", "--bootstrap-servers", HOSTILE],
        ["produce", HOSTILE],
        ["verify", "--topic", HOSTILE],
        ["reset", "--group", HOSTILE],
        ["rebuild", "--partition", HOSTILE],
        ["rebuild", "--state-dir", HOSTILE],
        ["run", "--text", HOSTILE],
        ["doctor", "--group", HOSTILE],
        ["worker", "--http-host", "127.0.0.1", "--profile", HOSTILE],
    ],
    ids=lambda arguments: " ".join(arguments[:2]).replace(HOSTILE, "HOSTILE"),
)
def test_no_argument_acts_on_the_terminal_or_forges_a_line(arguments: list[str], tmp_path: Path) -> None:
    done = ran(*arguments, folder=tmp_path)
    assert_nothing_acts(done)
    if done.returncode:
        assert done.stderr.startswith(b"wordcount: ")
        assert done.stderr.count(b"\n") == 1


def test_settings_paths_and_words_are_shown_escaped(tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE.replace("/", "")
    folder.mkdir()
    (folder / ".env").write_text("WORDCOUNT_SASL_USERNAME='\x1b[31m\u202e'\n")
    assert_nothing_acts(ran("config", "show", folder=folder))
    for flags in ([], ["--json"]):
        settings = {"WORDCOUNT_STATE_DIR": str(folder), "WORDCOUNT_STOP_WORDS": "\u202ea,\x7f"}
        done = ran("config", "show", *flags, folder=tmp_path, **settings)
        assert (done.returncode, done.stderr) == (0, b"")
        assert_nothing_acts(done)
        assert rb"\u202e" in done.stdout
        if flags:
            assert json.loads(done.stdout)["WORDCOUNT_STATE_DIR"] == str(folder)
        doctor = ran("doctor", *flags, folder=tmp_path, WORDCOUNT_BOOTSTRAP_SERVERS="127.0.0.1:1", **settings)
        assert doctor.returncode == 1
        assert_nothing_acts(doctor)
    done = ran("tokenize", folder=tmp_path, stdin="ab\u202ec \x1b[1m\n".encode())
    assert_nothing_acts(done)


def test_the_name_of_a_file_that_is_not_text_is_shown_escaped(tmp_path: Path) -> None:
    done = ran("tokenize", os.fsdecode(b"caf\xe9"), folder=tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert rb"caf\udce9" in done.stderr


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=lambda locale: " ".join(locale.values()),
)
def test_what_the_encoding_lacks_is_escaped_and_no_line_is_lost(
    locale: dict[str, str], tmp_path: Path
) -> None:
    text = "naïve 東京\nplain\n😀\n".encode()
    (tmp_path / "in").write_bytes(text)
    plain = ran("tokenize", "--profile", "whitespace", "in", folder=tmp_path, **locale)
    assert (plain.returncode, plain.stderr) == (0, b"")
    encoding = locale.get("PYTHONIOENCODING", "ascii")
    assert plain.stdout == text.decode().encode(encoding, "backslashreplace")
    (tmp_path / "json").write_text('"naïve 東京"\n"😀"\n', "utf-8")
    as_json = ran("tokenize", "--profile", "whitespace", "--json", "json", folder=tmp_path, **locale)
    assert [json.loads(line) for line in as_json.stdout.splitlines()] == [["naïve", "東京"], ["😀"]]
    for arguments in (["--help"], ["config", "show"], ["get", "東京", "--url", "http://127.0.0.1:1"]):
        assert b"Traceback" not in ran(*arguments, folder=tmp_path, **locale).stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["config", "show"], ["config", "show", "--json"], ["tokenize"]]
)
def test_a_reader_that_is_gone_is_no_error_to_speak_of(arguments: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = ran(*arguments, folder=tmp_path, stdin=b"one two\n" * 100_000, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (EXIT_READER_GONE, b"")


@pytest.mark.parametrize("arguments", [["--help"], ["config", "show"], ["tokenize"]])
def test_an_output_that_cannot_be_written_is_one_line_and_a_code_of_its_own(
    arguments: list[str], tmp_path: Path
) -> None:
    with Path("/dev/full").open("wb") as full:
        done = ran(*arguments, folder=tmp_path, stdin=b"one two\n", stdout=full.fileno())
    assert done.returncode == EXIT_OUTPUT
    assert done.stderr.startswith(b"wordcount: standard output cannot be written (No space left on device); ")
    assert done.stderr.count(b"\n") == 1


def test_a_command_without_standard_streams_works(tmp_path: Path) -> None:
    for streams in (">&-", ">&- 2>&-", "<&-"):
        script = f'"{sys.executable}" -m app config show {streams}'
        done = subprocess.run(
            ["/bin/sh", "-c", script], cwd=tmp_path, env=environment({}), capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), streams
    script = f'"{sys.executable}" -m app tokenize <&-'
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, env=environment({}), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert done.stderr.startswith(b"wordcount: standard input cannot be read ")


@pytest.mark.parametrize(("command", "code"), [("worker", 0), ("tokenize", EXIT_TERMINATED)])
def test_a_signal_during_the_imports_counts(command: str, code: int, tmp_path: Path) -> None:
    """As process 1 of a container has it: nothing but the program's own handler ends it, so the program has to set one at once."""
    slow = tmp_path / "tables"
    slow.mkdir()
    # Stands for all that takes long to import: it says that it was reached, and takes much longer than the test.
    (slow / "__init__.py").write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    code_text = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # as the kernel does for process 1
        f"sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from app.entry import main\nmain()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code_text, command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as starting:
        assert starting.stdout is not None
        assert starting.stdout.readline() == b"importing\n"
        began = time.monotonic()
        starting.send_signal(signal.SIGTERM)
        assert starting.wait(30) == code
        assert time.monotonic() - began < 30
        assert starting.stderr is not None
        assert starting.stderr.read() == b""


@pytest.mark.parametrize(
    "path", sorted((ROOT / "app").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_only_the_module_for_it_writes_to_standard_streams(path: Path) -> None:
    if str(path.relative_to(ROOT)) in WRITERS:
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        written = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        assert written not in {"typer.echo", "typer.secho", "print"}, node.lineno
        assert not written.startswith(("sys.stdout.", "sys.stderr.w", "sys.__std")), node.lineno


@pytest.mark.parametrize(
    "path", sorted((ROOT / "app").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_text_for_rich_is_escaped_where_it_is_made(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Text" and node.args:
            first = ast.unparse(node.args[0])
            assert first.startswith("printable(") or "check.status" in first, node.lineno
