"""What the documents say is so: commands exist, examples run, tables agree with the code."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.cli.test_looks import settled
from tests.support.commands import Here, here
from tests.support.sandbox import order_messages
from typer.main import get_command

from ibkr_rebalancer.cli import EXIT_INTERRUPTED, app
from ibkr_rebalancer.core.allocation import parse_allocation
from ibkr_rebalancer.core.errors import EXIT_BUG, EXIT_DONE, EXIT_PARTIAL, RebalancerError
from ibkr_rebalancer.version import __version__

__all__ = ["here"]

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{page}.md" for page in PAGES))

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]  # typer says only that it is a command
HELP = [[], *([name] for name in COMMANDS)]


CALL = re.compile(r"(?<!-u )(?<![\w./=-])rebalancer (?!\[)([^>|\n']*)")
"""A call of ours in a line of shell: at its beginning, or after what a container, a user or cron puts before it."""

NAME = re.compile(r"`([A-Z]{3,}(?:_[A-Z]+)+)`")
"""A reason code or a variable."""

PLACE = re.compile(r"`((?:tests|script|deploy|examples|benchmarks)/\w[\w./*-]+)")
"""A file of the repository; the `.env` that a person makes is none."""


def test_the_readme_is_read_in_one_go() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_page_is_read_in_one_go(document: str) -> None:
    """What is told in sentences: the map of the modules is looked up."""
    told = (ROOT / document).read_text(encoding="utf-8").partition("\n| module | purpose |")[0]
    assert len(told.splitlines()) <= 200


def test_the_readme_leads_to_every_document() -> None:
    linked = re.findall(r"\]\(([^)#]+)", README)
    assert {document for document in DOCUMENTS if document not in linked} == {"README.md"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_codes_and_places_it_names_exist(document: str) -> None:
    """Reason codes and variables are in the code, or in what the containers are told; files are in the repository."""
    text = (ROOT / document).read_text(encoding="utf-8")
    assert [name for name in NAME.findall(text) if name.removesuffix("_FILE") not in _known_names()] == []
    assert [place for place in PLACE.findall(text) if not [*ROOT.glob(place)]] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_the_page_of_refusals_is_what_the_program_knows() -> None:
    """After a change: `.venv/bin/python script/refusals.py > docs/refusals.md`."""
    printed = subprocess.run(
        [sys.executable, ROOT / "script" / "refusals.py"], capture_output=True, text=True, check=True
    ).stdout
    page = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
    assert page == printed
    assert len(page.splitlines()) <= 120


def test_the_commands_of_all_documents_are_accepted(here: Here) -> None:
    """Each call in a block of shell: the command exists and takes these options."""
    called = {call: document for document in DOCUMENTS for call in _calls(document)}
    assert len(called) >= 30
    assert {"README.md", "docs/quickstart.md", "docs/operations.md", "docs/docker.md"} <= {*called.values()}
    for call, document in called.items():
        if call[0].startswith("-"):
            assert f"  {call[0]} " in here.run("--help").out, (document, call)
            continue
        ended = here.run(*call, "--help")
        assert ended.exit_code == 0, (document, call, ended.err)
        assert ended.out.startswith(f"Usage: rebalancer {call[0]} "), (document, call)
    assert not order_messages(here.sandbox.log)


def test_the_readmes_scripts_exist() -> None:
    scripts = [line.split()[0] for line in _shell_lines() if line.startswith("script/")]
    assert scripts
    for script in scripts:
        assert (ROOT / script).stat().st_mode & 0o111, script


def test_the_readmes_plan_is_what_the_demonstration_shows(here: Here) -> None:
    shown = re.search(r"```console\n\$ rebalancer (.*)\n([^`]*)```", README)
    assert shown, "it shows no plan"
    here.set(COLUMNS="80")
    real = settled(here.run(*shown[1].split()).out, here).splitlines()
    quoted = [line.rstrip() for line in settled(shown[2], here).splitlines() if line.strip() not in {"", "…"}]
    assert [line for line in real if line in quoted] == quoted


def test_the_readmes_document_is_an_allocation() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    assert parse_allocation(json.dumps(json.loads(block)).encode()).stated_sum == 1


def test_the_readmes_python_is_the_library() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert code.co_names[:2] == ("ibkr_rebalancer", "Rebalancer")
    assert "plan" in code.co_names


def test_the_exit_codes_are_those_of_the_code() -> None:
    table = README.partition("| Code | Meaning |")[2].partition("\n\n")[0]
    listed = [int(code) for code in re.findall(r"\| (\d+) \|", table)]
    assert sorted(listed) == sorted(
        {
            EXIT_DONE,
            EXIT_PARTIAL,
            EXIT_BUG,
            EXIT_INTERRUPTED,
            *(error.exit_code for error in RebalancerError.__subclasses__()),
        }
    )


@pytest.mark.parametrize("words", HELP, ids=lambda words: " ".join(words) or "rebalancer")
def test_help_fits_a_terminal(here: Here, words: list[str]) -> None:
    here.set(COLUMNS="80", TERMINAL_WIDTH="80")
    ended = here.run(*words, "--help")
    assert ended.exit_code == 0
    assert max(len(line) for line in ended.out.splitlines()) <= 80
    assert ended.err == ""


def test_help_says_it_in_an_owners_words(here: Here) -> None:
    here.set(COLUMNS="80", TERMINAL_WIDTH="80")
    shown = {words: here.run(*words, "--help").out for words in map(tuple, HELP)}
    assert not [words for words, text in shown.items() if re.search(r"<(str|int|int range|float|path|list\[.*)>", text)]
    assert "..." not in shown[()].partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_that_are_accepted(here: Here, command: str) -> None:
    examples = re.findall(
        r"^ *rebalancer (.*)$", here.run(command, "--help").out.partition("Examples:")[2], re.MULTILINE
    )
    assert examples
    for example in examples:
        arguments = re.split(r" {2,}", example)[0].split()
        assert arguments[0] == command
        assert here.run(*arguments, "--help").exit_code == 0, example


def test_the_changelog_knows_this_version() -> None:
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] in {"Unreleased", __version__}


def _calls(document: str) -> Iterator[tuple[str, ...]]:
    text = (ROOT / document).read_text(encoding="utf-8")
    for language, block in re.findall(r"(?ms)^ *```(\w*)\n(.*?)^ *```", text):
        if language in {"", "sh"}:
            yield from (tuple(shlex.split(call, comments=True)) for call in CALL.findall(block))


@cache
def _known_names() -> frozenset[str]:
    sources = [*(ROOT / "src").rglob("*.py"), ROOT / "deploy" / "compose.yaml"]
    return frozenset(name for source in sources for name in re.findall(r"[A-Z_]+", source.read_text(encoding="utf-8")))


def _shell_lines() -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        yield from (line.strip() for line in block.splitlines())
