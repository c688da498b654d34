"""`positions --follow` in a pipe: printed again and again, each time as it is then."""

import json
from decimal import Decimal
from typing import IO

from tests.support.commands import SECOND, Here
from tests.support.schemas import check_document


def test_a_change_shows_in_the_next_view(here: Here) -> None:
    with here.start("positions", SECOND, "--follow", "--every", "1") as process:
        assert process.stdout is not None
        assert _held(process.stdout) == {"SPY": "20"}
        here.sandbox.change({"accounts": {SECOND: {"positions": {"QQQ": 77, "SPY": 19}}}})
        assert _held(process.stdout) == {"QQQ": "77", "SPY": "19"}
        process.terminate()
        process.communicate(timeout=10)


def test_in_json_every_view_is_a_document_in_one_line(here: Here) -> None:
    with here.start("positions", SECOND, "--follow", "--every", "1", "--json") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        here.sandbox.change({"accounts": {SECOND: {"cash": "1.23"}}})
        second = json.loads(process.stdout.readline())
        process.terminate()
        process.communicate(timeout=10)
    for document in (first, second):
        check_document(document)
    cash = [document["portfolios"][0]["balances"]["total_cash"] for document in (first, second)]
    assert [Decimal(amount) for amount in cash] == [Decimal("52400.00"), Decimal("1.23")]


def test_a_refused_pause_is_a_usage_error(here: Here) -> None:
    for pause in ("0", "-1", "nan", "inf", "1e9", "99999999999999999999"):
        ended = here.run("positions", "--follow", "--every", pause)
        assert (ended.exit_code, ended.out) == (2, ""), pause
        assert ended.err.startswith("Error: Invalid value for '--every'"), pause


def _held(lines: IO[str]) -> dict[str, str]:
    """Symbol and quantity of the next view that is printed."""
    held: dict[str, str] = {}
    for line in lines:
        match line.split():
            case [symbol, "STK", quantity, *_]:
                held[symbol] = quantity
            case ["Cash", *_]:
                return held
    raise AssertionError("the command has ended")
