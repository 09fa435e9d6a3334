"""Rules of style that no linter knows, and what lock files may hold."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [path for package in ("app", "agents", "tables") for path in sorted((ROOT / package).rglob("*.py"))]
TESTS_AND_MEASURES = [path for folder in ("tests", "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
MAX_LINES = 400
LONGER_BECAUSE = f"Longer than {MAX_LINES} lines because "
STARTS_SOMETHING = {"app/faust_entry.py", "app/__main__.py"}
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
JAR_LOCKS = [
    ROOT / "app" / "local" / "jars.lock",
    *sorted((ROOT / "bench" / "peers" / "locks").glob("*.lock")),
]


def is_short_enough(text: str) -> bool:
    """Whether a module has at most `MAX_LINES`, or says in its docstring why it has more."""
    said = re.sub(r"\s+", " ", ast.get_docstring(ast.parse(text)) or "")
    return len(text.splitlines()) <= MAX_LINES or re.search(rf"(^|[.:] ){LONGER_BECAUSE}", said) is not None


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def is_definition(node: ast.stmt) -> bool:
    """Whether a statement of a module only defines: imports, functions, classes, constants, text, or is not run at import."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in {"TYPE_CHECKING", "__name__ == '__main__'"} and not node.orelse
    kinds = (
        ast.Import
        | ast.ImportFrom
        | ast.FunctionDef
        | ast.AsyncFunctionDef
        | ast.ClassDef
        | ast.Assign
        | ast.AnnAssign
    )
    return isinstance(node, kinds) or is_text(node)


def entries(lock: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(name, version, hashes) of each entry of a lock file; every line belongs to one."""
    text = lock.read_text("utf-8").replace("\\\n", "")
    for line in filter(None, text.splitlines()):
        found = re.fullmatch(
            r"([A-Za-z0-9._-]+)==([\w.+!]+)( ; [^-]*?)?((?:\s+--hash=sha256:[0-9a-f]{64})+)", line
        )
        assert found is not None, f"{lock.name}: {line[:80]}"
        yield found[1], found[2], re.findall("[0-9a-f]{64}", found[4])


@pytest.mark.parametrize("path", [*MODULES, *TESTS_AND_MEASURES], ids=named)
def test_module_is_short_enough_to_read_or_says_why_not(path):
    assert is_short_enough(path.read_text("utf-8")), f"split it, or its docstring says: {LONGER_BECAUSE}..."


@pytest.mark.parametrize(
    ("docstring", "accepted"),
    [
        ("A table.", False),
        ("A table. Longer than 400 lines\nbecause it is one.", True),
        ("No longer than 400 lines because", False),
    ],
)
def test_a_long_module_has_to_say_why(docstring, accepted):
    assert is_short_enough(f'"""{docstring}"""\n' + "x = 1\n" * MAX_LINES) is accepted


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=named)
def test_package_file_holds_text_only(path):
    assert all(is_text(node) for node in ast.parse(path.read_text("utf-8")).body)


@pytest.mark.parametrize("path", [path for path in MODULES if named(path) not in STARTS_SOMETHING], ids=named)
def test_module_only_defines_at_import(path):
    wrong = [node for node in ast.parse(path.read_text("utf-8")).body if not is_definition(node)]
    assert not wrong, [f"line {node.lineno}: {ast.unparse(node)}" for node in wrong]


@pytest.mark.parametrize(
    "statement", ["print(1)", "for x in y: pass", "if x: y = 1", "with x: pass", "x += 1"]
)
def test_a_statement_that_does_something_is_noticed(statement):
    (node,) = ast.parse(statement).body
    assert not is_definition(node)


@pytest.mark.parametrize("lock", LOCKS, ids=named)
def test_lock_file_pins_by_hash_and_holds_no_address(lock):
    names = [name for name, _, hashes in entries(lock) if hashes]
    assert names
    assert "://" not in lock.read_text("utf-8")


def test_lock_files_agree_on_versions():
    (whole,) = (lock for lock in LOCKS if lock.name == "dev.txt")
    versions: dict[str, set[str]] = {}
    for name, version, _ in entries(whole):
        versions.setdefault(name, set()).add(version)
    for lock in LOCKS:
        if lock.name != "helm.txt" and not lock.name.startswith("peers-"):
            for name, version, _ in entries(lock):
                assert version in versions[name], f"{lock.name}: {name}"


def test_lock_files_hold_what_the_project_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = {(name, version) for name, version, _ in entries(ROOT / "requirements" / "runtime.txt")}
    for requirement in project["dependencies"]:
        name, version = re.match(r"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)", requirement).groups()
        assert (name, version) in locked, requirement


def test_other_word_counts_have_the_versions_that_the_project_pins():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    peers = {lock.stem for lock in LOCKS if lock.name.startswith("peers-")}
    assert peers == {name for name in groups if name.startswith("peers-")} != set()
    for peer in peers:
        locked = {(name, version) for name, version, _ in entries(ROOT / "requirements" / f"{peer}.txt")}
        for requirement in groups[peer]:
            assert re.match(r"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)", requirement).groups() in locked, requirement


@pytest.mark.parametrize("lock", JAR_LOCKS, ids=named)
def test_jars_are_locked_by_hash_and_hold_no_address(lock):
    lines = lock.read_text("utf-8").splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+ [0-9a-f]{64}", line)] == []
