import json
import os
import re
import signal
import subprocess
import sys

import pytest

from app.cli import command_line, main
from app.exit_codes import exit_code
from tables import errors

COMMAND = [sys.executable, "-c", "from app.cli import main; main()"]


def every_command() -> list[list[str]]:
    root = command_line()
    paths = [[]]
    for name in root.list_commands(None):
        command = root.get_command(None, name)
        paths += [[name], *([name, child] for child in getattr(command, "commands", {}))]
    return paths


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_explains_itself(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main([*path, "--help"])
    assert not ended.value.code
    assert " ".join(["Usage: wordcount", *path]) in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nonsense"], ["get"], ["top", "-k", "0"], ["produce", "--rate", "0"]])
def test_wrong_usage_ends_with_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"wordcount: [^\n]+; see: wordcount( \w+)? --help\n", said.err)


def test_the_version_is_shown(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("wordcount ")


def test_a_bad_setting_is_one_line_and_exit_code_2(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORDCOUNT_HTTP_PORT", "eighty")
    with pytest.raises(SystemExit) as ended:
        main(["config", "show"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == 'wordcount: WORDCOUNT_HTTP_PORT is "eighty", expected a whole number from 0 to 65535\n'


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ConfigurationError, 2),
        (errors.BadRequestError, 2),
        (errors.BrokerUnavailableError, 1),
        (errors.NotReadyError, 1),
        (errors.InexactError, 1),
    ],
)
def test_exit_codes_tell_whose_fault_it_is(kind, code):
    assert exit_code(kind("something")) == code


def test_ctrl_c_ends_with_exit_code_130_and_no_traceback(pytestconfig):
    with subprocess.Popen(
        [*COMMAND, "tokenize", "--json"],
        cwd=pytestconfig.rootpath,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as waiting:
        waiting.stdin.write(b'"a"\n')
        waiting.stdin.flush()
        assert waiting.stdout.readline() == b'["a"]\n'
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(30) == 130
        assert waiting.stderr.read() == b""


NOWHERE = "127.0.0.1:1"
ASK = {"aiokafka", "faust", "pyarrow", "rocksdict", "uvicorn"}
MANAGE = ASK - {"aiokafka"}


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["tokenize", os.devnull], {"aiokafka", "faust", "httpx", "rocksdict", "uvicorn"}),
        (["get", "a", "--url", f"http://{NOWHERE}"], ASK),
        (["top", "--url", f"http://{NOWHERE}"], ASK),
        (["get", "a"], MANAGE),
        (["top"], MANAGE),
        (["produce", os.devnull, "--bootstrap-servers", NOWHERE], MANAGE),
        (["topics", "create", "--bootstrap-servers", NOWHERE], MANAGE),
        (["doctor", "--bootstrap-servers", NOWHERE], MANAGE),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_only_libraries_that_it_uses(arguments, unused, pytestconfig, tmp_path):
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules))))\n"
        "from app.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(pytestconfig.rootpath),
            "WORDCOUNT_HTTP_PORT": "0",
            "WORDCOUNT_BOOTSTRAP_SERVERS": NOWHERE,
        },
        capture_output=True,
        check=False,
    )
    assert not unused & set(json.loads(done.stdout.splitlines()[-1]))


def test_what_the_system_refuses_is_one_line_that_names_it(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def refuse(**_):
        raise PermissionError(13, "Permission denied", "some/\x1bfile")

    monkeypatch.setattr("app.config.loading.load_settings", refuse)
    with pytest.raises(SystemExit) as ended:
        main(["config", "show"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("wordcount: some/\\x1bfile: Permission denied; ")
    assert said.count("\n") == 1


def test_a_state_folder_that_is_a_file_is_no_folder_without_stores(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").touch()
    with pytest.raises(SystemExit) as ended:
        main(["rebuild", "--state-dir", "state"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("wordcount: the state folder state is not a folder; ")
