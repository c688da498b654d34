"""The seed's own example from end to end: the account worked out in `tests/core/test_planner.py`, over sockets."""

import json
from decimal import Decimal

from tests.core.test_planner import BLEND
from tests.support.commands import SECOND, Here

PRICES = {"EDC": 40, "QLD": 120, "QQQ": 500, "BTAL": 20, "SPXL": 160, "TQQQ": 80, "TLT": 30}


def test_weights_that_add_up_to_0_999_are_planned_as_worked_out_by_hand(here: Here) -> None:
    """100 QQQ, 500 EDC and 1,000 TLT, no cash and no spread: see `test_a_blend_of_six_funds_from_other_holdings`."""
    quote = {symbol: dict.fromkeys(("bid", "ask", "last", "close"), str(price)) for symbol, price in PRICES.items()}
    holdings = {"SPY": None, "QQQ": 100, "EDC": 500, "TLT": 1000}
    here.sandbox.change(
        {
            "market": quote,
            "accounts": {SECOND: {"cash": "0", "positions": holdings}},
            "allocations": {"secondary": json.loads(BLEND)},
        }
    )
    (plan,) = here.run("plan", SECOND, "--json").document["plans"]
    assert [(trade["side"], trade["quantity"], trade["symbol"]) for trade in plan["trades"]] == [
        ("SELL", 72, "QQQ"),
        ("SELL", 1000, "TLT"),
        ("BUY", 1405, "BTAL"),
        ("BUY", 148, "QLD"),
        ("BUY", 184, "TQQQ"),
        ("BUY", 23, "SPXL"),
        ("BUY", 34, "EDC"),
    ]
    assert Decimal(plan["net_liquidation"]) == 100_000
    assert (Decimal(plan["commission"]), Decimal(plan["cash_after"])) == (Decimal("17.03"), Decimal("362.97"))
    assert plan["strategy"]["name"] == "etf-blend-301-20"
