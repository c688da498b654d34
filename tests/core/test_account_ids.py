import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ibkr_rebalancer.core.account_ids import ACCOUNT_ID, with_account_ids_masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("DU123456", "DU…456"),
        ("U1234567: 3 QQQ", "U…567: 3 QQQ"),
        ("accounts=['DU123456', 'F7654321A']", "accounts=['DU…456', 'F…321A']"),
        ("/v1/DU123456/x_DU789012_", "/v1/DU…456/x_DU…012_"),
        ("QQQ 1234567 ib_async 2026-11-23", "QQQ 1234567 ib_async 2026-11-23"),
        ("abcDU123456def", "abcDU123456def"),
        (r"b'6\x002\x00DU123456\x00'", r"b'6\x002\x00DU…456\x00'"),
        (r"'a\nDU123456\tU1234567'", r"'a\nDU…456\tU…567'"),
        ('"\\u00e4DU123456"', '"\\u00e4DU…456"'),
        ("/x%2FDU123456%2fU1234567", "/x%2FDU…456%2fU…567"),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert with_account_ids_masked(text) == masked


@given(st.from_regex(ACCOUNT_ID, fullmatch=True), st.sampled_from([" ", "'", "/", "_", ",", "…", "\n", "="]))
def test_no_account_number_stays_whole(account_id: str, beside: str) -> None:
    assert account_id not in with_account_ids_masked(f"x{beside}{account_id}{beside}{account_id}")


ESCAPES: dict[str, Callable[[str], str]] = {
    "repr": repr,
    "bytes": lambda text: repr(text.encode()),
    "repr of repr": lambda text: repr(repr(text)),
    "json": json.dumps,
    "percent": lambda text: quote(text, safe=""),
}


@given(st.from_regex(ACCOUNT_ID, fullmatch=True), st.characters(exclude_categories=["L", "N", "Cs"]))
@example("DU123456", "\0")
@example("DU123456", "\n")
@pytest.mark.parametrize("escape", ESCAPES)
def test_no_account_number_stays_whole_behind_an_escaped_character(escape: str, account_id: str, beside: str) -> None:
    """As in the repr of a wire frame, whose fields end with a zero byte."""
    assert account_id not in with_account_ids_masked(ESCAPES[escape](f"7{beside}{account_id}{beside}"))
