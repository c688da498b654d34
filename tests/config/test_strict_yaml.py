import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ibkr_rebalancer.config.findings import Finding, Unfit
from ibkr_rebalancer.config.strict_yaml import Entries, Items, Text, parse

TRAPS = (
    "ON", "NO", "y", "yes", "off", "true", "null", "~",
    "012", "0x1F", "1e3", ".inf", ".nan", "12:30:45", "2026-11-23",
)  # fmt: skip
"""Scalars that YAML 1.1 takes for something else than the text they are."""


def finding_in(text: str) -> Finding:
    with pytest.raises(Unfit) as caught:
        parse(text)
    (finding,) = caught.value.findings
    return finding


@pytest.mark.parametrize("trap", TRAPS)
def test_a_scalar_is_its_text_as_value_and_as_name(trap: str) -> None:
    assert parse(f"[{trap}]") == Items((Text(trap, 1),), 1)
    assert parse(f"{trap}: {trap}") == Entries({trap: Text(trap, 1)}, 1)


@given(st.text())
@example('"\\\n\x85\u2028\ufeff')
def test_any_quoted_text_is_read_back_as_it_was(text: str) -> None:
    quoted = "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08X}" for c in text)

    assert parse(f'key: "{quoted}"') == Entries({"key": Text(text, 1)}, 1)


@given(
    st.from_regex(r"[A-Za-z0-9_.+~-]+(:[0-9]+)*", fullmatch=True).filter(lambda text: not text.startswith(("-", ".")))
)
def test_any_plain_word_or_number_is_read_back_as_it_was(text: str) -> None:
    assert parse(f"key: {text}") == Entries({"key": Text(text, 1)}, 1)


def test_lines_are_those_of_the_names() -> None:
    tree = parse("# comment\n- a: 1\n  b:\n    c: 2\n- d\n")

    assert tree == Items((Entries({"a": Text("1", 2), "b": Entries({"c": Text("2", 4)}, 3)}, 2), Text("d", 5)), 2)


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_a_document_with_nothing_in_it(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "line", "code", "word"),
    [
        ("a: 1\nb: 2\na: 3", 3, "CONFIG_DUPLICATE_KEY", "line 1"),
        ("- {ON: 1, 'ON': 2}", 1, "CONFIG_DUPLICATE_KEY", "'ON'"),
        ("a: &x {b: 1}\nc: *x", 2, "CONFIG_SYNTAX", "*x is an alias"),
        ("a: &x {b: 1}\nc:\n  <<: *x", 3, "CONFIG_SYNTAX", "*x is an alias"),
        ("a: *nowhere", 1, "CONFIG_SYNTAX", "alias"),
        ("a: 1\nb: !!int 5", 2, "CONFIG_SYNTAX", "tag:yaml.org,2002:int is a tag"),
        ("!!python/name:os.system a", 1, "CONFIG_SYNTAX", "is a tag"),
        ("? [a, b]\n: c", 1, "CONFIG_SYNTAX", "where a name should"),
        ("a: 1\n\tb: 2", 2, "CONFIG_SYNTAX", "cannot be read as YAML"),
        ("a: [1\nb: 2", 2, "CONFIG_SYNTAX", "cannot be read as YAML"),
        ("a: 1\n---\nb: 2", 2, "CONFIG_SYNTAX", "A second document begins here"),
        ("a: 1\nb: \x07", 2, "CONFIG_SYNTAX", "control character"),
        ("[" * 700, 1, "CONFIG_SYNTAX", "cannot be read as YAML"),
        ("[" * 700 + "]" * 700, 1, "CONFIG_SYNTAX", "nested too deeply"),
    ],
)
def test_what_is_more_than_names_lists_and_text_is_refused_with_its_line(
    text: str, line: int, code: str, word: str
) -> None:
    finding = finding_in(text)

    assert (finding.line, finding.code) == (line, code)
    assert word in finding.sentence
    assert finding.hint
