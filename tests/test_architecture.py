"""The shape of the code: the module map is true, every module says what it is for, names say something."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"
MODULES = sorted(SRC.rglob("*.py"))

EMPTY_WORDS = {
    *("util", "utils", "helper", "helpers", "common", "types", "manager", "service", "services", "handler", "handlers"),
    *("misc", "factory", "registry"),
}
"""Words that name nothing; nor does `base`, but for the base currency of an account."""


def test_the_module_map_is_true() -> None:
    """After a change of structure: `.venv/bin/python script/module_map.py`, into docs/architecture.md."""
    printed = subprocess.run(
        [sys.executable, ROOT / "script" / "module_map.py"], capture_output=True, text=True, check=True
    ).stdout
    _, _, written = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Module map\n")
    assert [line for line in written.splitlines() if line.startswith("|")] == printed.splitlines()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "it has no docstring"
    first = docstring.partition("\n")[0]
    assert len(first) <= 120
    assert "|" not in first, "it would break the module map"


def test_names_say_something() -> None:
    functions = [node.name for path in MODULES for node in _nodes(path) if not isinstance(node, ast.ClassDef)]
    classes = [node.name for path in MODULES for node in _nodes(path) if isinstance(node, ast.ClassDef)]
    modules = [part for path in MODULES for part in path.relative_to(SRC).with_suffix("").parts]
    assert [name for name in functions if EMPTY_WORDS & _words(name)] == []
    assert [name for name in (*classes, *modules) if (EMPTY_WORDS | {"base"}) & _words(name)] == []


def test_the_check_of_names_finds_one() -> None:
    assert EMPTY_WORDS & _words("OrderManager")
    assert EMPTY_WORDS & _words("string_utils")
    assert not EMPTY_WORDS & _words("based_on_databases")


def test_no_module_is_longer_than_a_sitting() -> None:
    lines = {path.relative_to(SRC): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > 450} == {}


def _nodes(path: Path) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}
