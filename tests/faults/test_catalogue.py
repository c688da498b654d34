"""The catalogue is whole: no row is missing, none is words only, and the tests it names exist."""

import ast
from pathlib import Path

import pytest
from tests.faults.cases import Row, Traded, Watched, Wired
from tests.faults.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
WANTED = [*range(1, 29), *range(30, 76)]
"""Of the table in the facts about reliability, 2.3: all rows but the one about a database that is none of ours."""


def test_no_row_is_missing_and_none_is_there_twice() -> None:
    assert [row.number for row in CATALOGUE] == WANTED


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: str(row.number))
def test_a_row_is_run_or_void(row: Row) -> None:
    assert bool(row.cases or row.processes) != bool(row.void)
    assert len({(type(case), case.how) for case in row.cases}) == len(row.cases), "two cases have one name"
    assert all(isinstance(case, Traded | Watched | Wired) for case in row.cases), "no driver runs it"


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: str(row.number))
def test_the_tests_that_a_row_names_exist(row: Row) -> None:
    for named in row.proven_by:
        path, _, test = named.partition("::")
        assert (ROOT / path).exists(), named
        assert not test or test in names_in(ROOT / path), named
    assert set(row.processes) <= names_in(ROOT / "tests/faults/test_process_faults.py")


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}
