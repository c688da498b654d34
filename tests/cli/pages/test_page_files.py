"""`plan --html` and `runs RUN --html` as a person would type them, and where a page cannot be written."""

import os
from pathlib import Path

import pytest
from tests.cli.pages.test_plan_page import ORDERS, UNTOUCHED, WEIGHTS
from tests.cli.pages.test_run_page import FILLS
from tests.cli.test_looks import EVERY_KIND
from tests.support.commands import FIRST, SECOND, Here
from tests.support.html_page import read_page
from tests.support.schemas import check_document

UNWRITABLE = {
    "no-folder/plan.html": "No such file or directory.",
    "accounts.yaml/plan.html": "Not a directory.",
    f"{'x' * 300}.html": "File name too long.",
}


def test_a_page_shows_the_plans_that_are_printed(here: Here) -> None:
    here.sandbox.change(EVERY_KIND)
    ended = here.run("plan", "--json", "--html", "plans.html")
    assert ended.exit_code == 0
    assert ended.err.endswith("The page is in plans.html\n")
    check_document(ended.document)
    file = here.folder / "plans.html"
    assert file.stat().st_mode & 0o7777 == 0o600
    page = read_page(file.read_text(encoding="utf-8"))
    sections = page.of_class("account")
    assert len(sections) == len(ended.document["plans"]) == 2
    for section, plan in zip(sections, ended.document["plans"], strict=True):
        traded = [[row[0], row[1], row[2].replace(",", "")] for row in section.tables[ORDERS]]
        assert traded == [[trade["symbol"], trade["side"], f"{trade['quantity']}"] for trade in plan["trades"]]
        assert [row[-1] for row in section.tables[ORDERS]] == [trade["reason"] for trade in plan["trades"]]
        assert [row[-1] for row in section.tables[UNTOUCHED]] == [each["reason"] for each in plan["untouched"]]
        assert len(section.tables[WEIGHTS]) == len(plan["trades"]) + len(plan["skips"]) + 1
        assert section.texts("li") == plan["remarks"]


def test_a_page_changes_nothing_in_what_is_printed(here: Here) -> None:
    here.accounts(here.entry(FIRST, "primary"), here.entry(SECOND, "missing"))
    ended = here.run("plan", "--html", "plans.html")
    assert ended.exit_code == here.run("plan").exit_code == 23
    assert "Untouched" in ended.out
    page = read_page((here.folder / "plans.html").read_text(encoding="utf-8"))
    (error,) = page.of_class("error")
    assert error.texts("p")[0].removeprefix("Error: ") in ended.err
    assert f"Plan for paper account {FIRST}" in ended.out


def test_a_run_is_written_too(here: Here) -> None:
    assert here.run("execute", SECOND, "--yes").exit_code == 0
    (run,) = here.run("runs", "--json").document["runs"]
    ended = here.run("runs", run["run_id"][:16], "--html", "run.html")
    assert ended.exit_code == 0
    assert ended.out == here.run("runs", run["run_id"]).out
    page = read_page((here.folder / "run.html").read_text(encoding="utf-8"))
    report = here.run("runs", run["run_id"], "--json").document["record"]["report"]
    filled = [[row[0], row[1], row[5].replace(",", "")] for row in page.tables[FILLS]]
    assert filled == [[order["symbol"], order["side"], f"{order['filled']}"] for order in report["orders"]]


def test_a_page_shows_one_run(here: Here) -> None:
    ended = here.run("runs", "--html", "run.html")
    assert ended.exit_code == 2
    assert ended.err.startswith("Error: --html shows one run, and none is named.\n")
    assert not (here.folder / "run.html").exists()


def test_a_page_takes_the_place_of_another(here: Here) -> None:
    file = here.folder / "plan.html"
    file.touch(mode=0o644)
    assert here.run("plan", FIRST, "--html", "plan.html").exit_code == 0
    old = file.read_bytes()
    assert here.run("plan", SECOND, "--html", "plan.html").exit_code == 0
    assert SECOND in file.read_text(encoding="utf-8")
    assert file.read_bytes() != old
    assert file.stat().st_mode & 0o7777 == 0o600
    assert not [*here.folder.glob(".rebalancer-*")]


@pytest.mark.parametrize("name", UNWRITABLE)
def test_a_page_that_cannot_be_written_is_told(here: Here, name: str) -> None:
    ended = here.run("plan", SECOND, "--json", "--html", name)
    assert ended.exit_code == 2
    check_document(ended.document)
    assert ended.document["error"] == {
        "code": "OUTPUT_FAILED",
        "message": f"The page cannot be written to {name}: {UNWRITABLE[name]}",
        "hint": "Name a file in a folder that is there, that you may write to and that has room.",
        "exit_code": 2,
    }
    assert {path.name for path in here.folder.iterdir()} <= {"accounts.yaml", ".local"}


@pytest.mark.parametrize("kind", ["settings", "folder", "link", "pipe"])
def test_a_page_takes_the_place_of_nothing_else(here: Here, kind: str) -> None:
    path = {"settings": here.folder / "accounts.yaml"}.get(kind, here.folder / kind)
    _make(path, kind, here.folder)
    before = path.lstat()
    ended = here.run("plan", SECOND, "--html", str(path))
    assert ended.exit_code == 2
    assert (
        f"Error: {path} is there already, and is no web page; it was left as it is.\n"
        "Hint: Name another file, or remove this one.\nOUTPUT_FAILED, exit code 2\n"
    ) in ended.err
    assert (path.lstat().st_ino, path.lstat().st_size) == (before.st_ino, before.st_size)


def _make(path: Path, kind: str, folder: Path) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(folder / "elsewhere")
        case "pipe":
            os.mkfifo(path)
