"""The benchmarks' command, and the page that keeps what a run of it has said. Nothing is measured here."""

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.__main__ import PAGE, parsed
from benchmarks.parts import PARTS
from benchmarks.results import Table, rewritten

TABLE = Table(
    part="memory",
    headings={"what": "what", "ms": "ms"},
    rows=[{"what": "one", "ms": 1.2345, "more": 7}, {"what": "another", "ms": 123.4}, {"what": "a third", "ms": 12}],
    circumstances="Here and now.",
)
TEXT = """\
| what    |   ms |
|---------|-----:|
| one     | 1.23 |
| another |  123 |
| a third |   12 |

Here and now."""


def test_its_help_names_all_parts() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PAGE.parent.parent).stdout
    assert all(f"\n  {part} " in shown for part in PARTS)
    assert max(map(len, shown.splitlines())) <= 120


@pytest.mark.parametrize("arguments", [["nonsense"], ["--runs", "0"]])
def test_what_it_does_not_know_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parsed(arguments)


def test_words_begin_on_the_left_and_numbers_end_on_the_right() -> None:
    assert TABLE.text == TEXT


def test_a_program_is_told_all_digits_and_all_keys() -> None:
    assert TABLE.document["rows"] == TABLE.rows


def test_a_table_takes_the_place_of_the_one_before() -> None:
    page = "above\n<!-- measured: memory -->\nold\n<!-- end -->\n<!-- measured: start -->\nkept\n<!-- end -->\n"
    once = rewritten(page, [TABLE])
    assert once == page.replace("old", TEXT)
    assert rewritten(once, [TABLE]) == once
    with pytest.raises(ValueError, match="no place for memory"):
        rewritten("nothing", [TABLE])


def test_the_page_has_the_results_of_all_parts_in_one_read() -> None:
    page = Path(PAGE).read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 120
    for name, part in PARTS.items():
        kept = page.partition(f"<!-- measured: {name} -->\n")[2].partition("<!-- end -->")[0]
        headings = [each.strip() for each in kept.partition("\n")[0].strip("|").split("|")]
        assert headings == list(part.headings.values()), f"measure it again: python -m benchmarks {name} --write"
