"""`positions --follow` in a pipe: printed again and again, each time as it is then; and what is seen of troubles."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from signal import SIGINT
from typing import IO

import pytest
from tests.support.commands import SECOND, Here
from tests.support.notation import NOW, snapshot
from tests.support.sandbox import fault
from tests.support.schemas import check_document

from ibkr_rebalancer.cli.following import first_sight, pause_s
from ibkr_rebalancer.core.errors import GatewayUnavailable
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio

DU1, DU2 = AccountId("DU1"), AccountId("DU2")
DOWN = GatewayUnavailable("LINK_DOWN", "It is down.", hint="Wait.")
SILENT = GatewayUnavailable("SNAPSHOT_INCOMPLETE", "It is silent.", hint="Wait.")


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


def test_a_trouble_is_told_once_beside_the_views_which_go_on_after_it(here: Here) -> None:
    with here.start("positions", SECOND, "--follow", "--every", "1", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert _cash(process.stdout) == "52400"
        here.sandbox.change({"faults": [fault("connect", "disconnect")]})
        here.sandbox.kick()
        until_told = list(iter(process.stderr.readline, "GATEWAY_NOT_READY, exit code 20\n"))
        here.sandbox.until(lambda log: len([record for record in log if record.get("event") == "fault"]) >= 2)
        here.sandbox.change({"faults": [], "accounts": {SECOND: {"cash": "1.23"}}})
        assert _cash(process.stdout) == "1.23"
        process.send_signal(SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert until_told[-2].startswith("Error: Before a session had started, the connection was closed by the gateway")
    assert "Error" not in err
    assert "Error" not in out


def test_the_trouble_of_one_account_is_told_once_beside_the_views_of_the_others(here: Here) -> None:
    here.accounts(here.entry("DU999999", "primary"), here.entry(SECOND, "secondary"))
    with here.start("positions", "--follow", "--every", "1") as process:
        assert process.stdout is not None
        assert _held(process.stdout) == _held(process.stdout) == {"SPY": "20"}
        process.send_signal(SIGINT)
        out, err = process.communicate(timeout=10)
    assert err.count("Error: The gateway does not manage DU999999") == 1
    assert "DU999999" not in out


@pytest.mark.parametrize("as_json", [False, True], ids=["for people", "JSON"])
def test_without_anything_to_see_there_is_nothing_to_follow(here: Here, as_json: bool) -> None:
    here.sandbox.change({"faults": [fault("connect", "disconnect")]})
    ended = here.finish("positions", SECOND, "--follow", "--every", "1", *(["--json"] if as_json else []))
    assert ended.exit_code == 20
    assert "GATEWAY_NOT_READY" in (ended.out if as_json else ended.err)


def test_what_was_read_last_stays_in_sight() -> None:
    before, after = _portfolio("DU1", 1), _portfolio("DU1", 2)
    sight = first_sight({DU1: before, DU2: SILENT}, at=_at(0))
    assert (sight.portfolios, sight.read_at, sight.unread_since) == ({DU1: before}, _at(0), {DU2: _at(0)})

    sight = sight.then({DU1: DOWN, DU2: DOWN}, at=_at(1)).then({DU1: SILENT, DU2: SILENT}, at=_at(2))
    assert (sight.portfolios, sight.read_at) == ({DU1: before}, _at(0))
    assert sight.unread_since == {DU1: _at(1), DU2: _at(0)}
    assert sight.trouble is SILENT

    other = _portfolio("DU2", 3)
    sight = sight.then({DU1: DOWN, DU2: other}, at=_at(3))
    assert (sight.portfolios, sight.read_at) == ({DU1: before, DU2: other}, _at(3))
    assert sight.unread_since == {DU1: _at(1)}
    assert sight.trouble is None

    sight = sight.then({DU1: after, DU2: other}, at=_at(4))
    assert (sight.portfolios, sight.unread_since) == ({DU1: after, DU2: other}, {})


def test_a_first_look_at_nothing_is_its_error() -> None:
    with pytest.raises(GatewayUnavailable) as caught:
        first_sight({DU1: DOWN, DU2: SILENT}, at=NOW)
    assert caught.value is DOWN


@pytest.mark.parametrize("every_s", [1, 300])
def test_pauses_grow_while_nothing_can_be_read(every_s: int) -> None:
    sights = [first_sight({DU1: _portfolio("DU1", 1)}, at=NOW)]
    for _ in range(7):
        sights.append(sights[-1].then({DU1: DOWN}, at=NOW))
    sights.append(sights[-1].then({DU1: _portfolio("DU1", 2)}, at=NOW))
    assert [pause_s(sight, every_s=every_s) for sight in sights] == [every_s, 1, 2, 4, 8, 16, 30, 30, every_s]


def _portfolio(account: str, shares: int) -> Portfolio:
    return snapshot(f"{account} cash 0; {shares} AAA @1", targets="AAA 100").portfolio


def _at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def _cash(lines: IO[str]) -> str:
    """The cash in the next view or document that is printed."""
    for line in lines:
        if line.startswith("{"):
            return str(json.loads(line)["portfolios"][0]["balances"]["total_cash"])
        if line.split()[:1] == ["Cash"]:
            return line.split()[2].replace(",", "")
    raise AssertionError("the command has ended")


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
