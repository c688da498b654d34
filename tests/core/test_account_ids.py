import pytest
from hypothesis import given
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
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert with_account_ids_masked(text) == masked


@given(st.from_regex(ACCOUNT_ID, fullmatch=True), st.sampled_from([" ", "'", "/", "_", ",", "…", "\n", "="]))
def test_no_account_number_stays_whole(account_id: str, beside: str) -> None:
    assert account_id not in with_account_ids_masked(f"x{beside}{account_id}{beside}{account_id}")
