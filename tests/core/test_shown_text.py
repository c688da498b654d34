"""What is shown of a text that somebody else has written."""

import unicodedata

import pytest

from ibkr_rebalancer.core.shown_text import shown_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07", "[31mred"),
        ("\x1b]0;title\x1b\\", "]0;title\\"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("\x9b2J\x7f\x00", "2J"),
        ("abc\u202edef\u2066", "abcdef"),
        ("Größe – 5 × 3 … ✓ 日本", "Größe – 5 × 3 … ✓ 日本"),
    ],
)
def test_a_text_is_shown_without_what_commands_a_terminal(text: str, shown: str) -> None:
    assert shown_text(text) == shown


def test_no_control_character_is_left_but_ends_of_lines_and_tabs() -> None:
    every = "".join(map(chr, range(0x3000)))
    assert {each for each in shown_text(every) if unicodedata.category(each) == "Cc"} == {"\n", "\t"}
    lost = set(every) - set(shown_text(every))
    assert {unicodedata.category(each) for each in lost} == {"Cc", "Cf"}
