"""docs/configuration.md: it is what the schema says, and every example in it can be copied."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ibkr_rebalancer.config.keys import BySymbol, Key, Section
from ibkr_rebalancer.config.loading import load_settings
from ibkr_rebalancer.config.schema import ACCOUNT, ENVIRONMENT
from ibkr_rebalancer.config.settings import Settings
from ibkr_rebalancer.core.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

Place = tuple[str, ...]
"""The names that lead to a key of an account."""


def keys(section: Section, place: Place = ()) -> Iterator[tuple[Place, Key]]:
    """Every key that an account may have, and where; below `contracts` it is VOD's."""
    for name, below in section.keys.items():
        match below:
            case Key():
                yield (*place, name), below
            case Section():
                yield from keys(below, (*place, name))
            case BySymbol():
                yield from keys(below.entry, (*place, name, "VOD"))


def meanings(section: Section, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """What every section within this one is said to be."""
    for name, below in section.keys.items():
        if not isinstance(below, Key):
            yield (*place, name), below.meaning
            inner = below.entry if isinstance(below, BySymbol) else below
            yield from meanings(inner, (*place, name))


KEYS = dict(keys(ACCOUNT))
PLAIN: dict[Place, str] = {
    ("account_id",): "U7654321",
    ("notification", "channel"): "news",
    ("allocations", "url"): "https://example.com/a",
}
AROUND: Mapping[Place, dict[Place, str]] = {
    ("allocations", "allow_http"): {("allocations", "url"): "http://example.com/a"},
    ("substitutions", "VOD", "scale"): {("substitutions", "VOD", "use"): "QQQM"},
}
"""What else stands in the file where an example counts for something."""
INSTEAD: Mapping[Place, Place] = {("allocations", "file"): ("allocations", "url")}
"""What cannot stand beside an example."""
OWN_KEYS = {"GROWTH_API_KEY": "hunter2"}
"""Variables that examples name."""


def written(given: Mapping[Place, str]) -> str:
    """An accounts.yaml with these keys."""
    tree: dict[str, Any] = {}
    for place, text in given.items():
        *above, name = place
        inner = tree
        for each in above:
            inner = inner.setdefault(each, {})
        inner[name] = text
    return f"- {_flow(tree)}\n"


def _flow(tree: str | dict[str, Any]) -> str:
    if isinstance(tree, str):
        return tree
    return "{" + ", ".join(f"{name}: {_flow(below)}" for name, below in tree.items()) + "}"


def loaded(folder: Path, given: Mapping[Place, str], **environ: str) -> Settings | str:
    """The settings of an accounts.yaml, or the code of its refusal."""
    for place in (folder, folder / "rebalancer"):
        place.mkdir(exist_ok=True)
        (place / "accounts.yaml").write_text(written(given), encoding="utf-8")
    try:
        return load_settings(None, environ={"HOME": str(folder), **environ}, cwd=folder)
    except ConfigError as error:
        return error.code


def test_the_page_is_what_the_schema_says() -> None:
    """After a change: `.venv/bin/python script/configuration_reference.py`, into docs/configuration.md."""
    script = ROOT / "script" / "configuration_reference.py"
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert PAGE[PAGE.index(printed.partition("\n")[0]) :] == printed


def test_the_page_is_read_in_one_go() -> None:
    assert len(PAGE.splitlines()) <= 200


def test_everything_has_a_meaning_and_an_example_that_the_page_shows() -> None:
    told = [(f"{place[-1]}: {key.example}", key) for place, key in KEYS.items()]
    told += [(f"{name}={key.example}", key) for name, key in ENVIRONMENT.items()]
    for example, key in told:
        assert key.meaning, example
        assert key.example, example
        assert f"- `{example}`: " in PAGE
    assert [place for place, meaning in meanings(ACCOUNT) if not meaning] == []


@pytest.mark.parametrize("place", KEYS, ids=".".join)
def test_an_example_can_be_copied_and_changes_something(tmp_path: Path, place: Place) -> None:
    plain = {**PLAIN, **AROUND.get(place, {})}
    beside = {each: text for each, text in plain.items() if each != INSTEAD.get(place)}
    copied = loaded(tmp_path, {**beside, place: KEYS[place].example}, **OWN_KEYS)
    assert isinstance(copied, Settings), copied
    assert copied != loaded(tmp_path, plain)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_variable_of_the_examples_can_be_copied_and_changes_something(tmp_path: Path, name: str) -> None:
    given: dict[Place, str] = {**PLAIN, ("account_id",): "DU123456"}
    copied = loaded(tmp_path, given, **{name: ENVIRONMENT[name].example})
    assert isinstance(copied, Settings), copied
    assert copied != loaded(tmp_path, given)


def test_the_pages_own_files_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / "accounts.yaml").write_text(block, encoding="utf-8")
        (account,) = load_settings(None, environ={}, cwd=tmp_path).accounts
        assert account.account_id == "DU123456"
    assert account.policy.limits.max_orders_per_plan == 40
    assert account.policy.limits.max_order_pct == 50
