"""A scenario file is read as it is written: nothing in it is guessed, and nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.sandbox.run import load_scenario
from ibkr_rebalancer.sandbox.scenario_yaml import parse_scenario
from ibkr_rebalancer.sandbox.venue.document import ScenarioError


def parsed(text: str) -> Any:
    return parse_scenario(text.encode(), name="s.yaml")


MANGLED = """
ON NO no Yes y TRUE True Null NULL 012 007.5 0x1F 0o17 1_000 12:30:45 +1 1. .5 1e .inf .nan = <<
2025-06-24 2026-11-23T15:30:00Z
"""


@pytest.mark.parametrize("word", MANGLED.split())
def test_a_word_is_text_as_name_and_as_value(word: str) -> None:
    assert parsed(f"{word}: {word}") == {word: word}
    assert parsed(f"- {word}") == [word]


@pytest.mark.parametrize("name", ["true", "null", "12", "1.5", "~"])
def test_a_name_is_always_text(name: str) -> None:
    assert parsed(f"{name}: 1") == {name: 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("true", True), ("false", False), ("null", None), ("~", None), ("", None), ("0", 0), ("-12", -12)),
        *(("0.2141", 0.2141), ("1e-5", 1e-5), ("-1.5E+3", -1500.0), ("'12'", "12"), ('"true"', "true")),
    ],
)
def test_what_json_would_agree_to_is_no_text(text: str, value: object) -> None:
    (read,) = parsed(f"- {text}")
    assert (read, type(read)) == (value, type(value))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aN0 -_:'\\"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("aN0 -_:", max_size=5), inner),
    max_leaves=8,
)


@given(JSON)
def test_json_is_read_as_itself(value: object) -> None:
    """Which is what the body of an allocation is."""
    text = json.dumps(value)
    assert json.dumps(parsed(text)) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("accounts:\n  DU1: {}\n  DU1: {}\n", "s.yaml: 'DU1' stands in line 3 again"),
        ("a: 1\nb: {c: [{x: 1, x: 2}]}\n", "s.yaml: 'x' stands in line 2 again"),
        ("{1: a, '1': b}", "s.yaml: '1' stands in line 1 again"),
        ("[a]: 1", "s.yaml: no YAML: this is no name"),
        ("a: &b [*b]", "s.yaml: no YAML: found unconstructable recursive node"),
        ("a: !!python/name:os.system", "s.yaml: no YAML: could not determine a constructor"),
        ("a: !!int x", "s.yaml: no YAML: invalid literal"),
        ("a: 1\n---\nb: 2", "s.yaml: no YAML: expected a single document"),
        ("[" * 5000, "s.yaml: no YAML: maximum recursion depth exceeded"),
    ],
)
def test_what_leaves_something_open_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parsed(text)
    assert str(refused.value).startswith(problem)


def test_a_scenario_in_words_that_yaml_would_mangle(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(
        """\
clock: 2026-11-23T15:30:00Z
accounts: {DU1: {cash: 1000, positions: {ON: 5}}}
market:
  ON: {bid: 70, hours: {regular: always, days: {2026-11-27: closed}}}
  012: {local_symbol: 012}
allocations:
  primary: {status: success, data: {allocations: [{symbol: ON, allocation: 0.6}], as_of: 2025-06-24}}
""",
        encoding="utf-8",
    )
    scenario = load_scenario(path)
    on, twelve = scenario.market.listings.values()
    assert (on.contract.symbol, twelve.contract.symbol, twelve.contract.local_symbol) == ("ON", "012", "012")
    assert list(scenario.accounts["DU1"].positions) == [on.contract.con_id]
    assert json.loads(json.dumps(scenario.allocations["primary"].body)) == {
        "status": "success",
        "data": {"allocations": [{"symbol": "ON", "allocation": 0.6}], "as_of": "2025-06-24"},
    }
