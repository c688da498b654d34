"""Snapshots: what is asked, in which order and how often; and that one is whole, or refused for one account alone."""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest
from tests.support.scene import MAX_QUOTE_AGE_S, NOW, Scene

from ibkr_rebalancer.core.errors import GatewayRefused, GatewayUnavailable, RebalancerError, Refused
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import AccountId, Portfolio, Snapshot, TradingMode
from ibkr_rebalancer.core.quotes import NoQuote
from ibkr_rebalancer.flows.snapshot import read_portfolios, take_snapshots
from ibkr_rebalancer.ports import MarketView

AAA, BBB, CCC = (ContractQuery(symbol=symbol) for symbol in ("AAA", "BBB", "CCC"))
FIFTY = {f"DU{number}": {"cash": "1000", "positions": {"AAA": 5, "CCC": number}} for number in range(1, 51)}


def refusal(outcome: object) -> tuple[type, str, str, str]:
    assert isinstance(outcome, RebalancerError)
    return type(outcome), outcome.code, outcome.message, outcome.hint


def whole(outcome: object) -> Snapshot:
    assert isinstance(outcome, Snapshot)
    return outcome


async def test_a_snapshot_of_one_account() -> None:
    scene = Scene(accounts={"DU1": {"positions": {"CCC": 4}}})
    (snapshot,) = (await scene.snapshots({"DU1": (AAA, BBB)})).values()
    snapshot = whole(snapshot)
    assert snapshot.portfolio.account == "DU1"
    assert {symbol: contract.con_id for symbol, contract in snapshot.targets.items()} == {"AAA": 101, "BBB": 102}
    assert set(snapshot.contracts) == set(snapshot.quotes) == {101, 102, 103}
    assert snapshot.taken_at.isoformat() == "2026-11-23T15:30:00+00:00"
    assert snapshot.assembled_at == NOW


@pytest.mark.parametrize("count", [1, 50])
async def test_the_number_of_questions_does_not_grow_with_the_accounts_but_for_their_portfolios(count: int) -> None:
    scene = Scene(accounts=FIFTY)
    names = [f"DU{number}" for number in range(1, count + 1)]
    outcomes = await scene.snapshots(dict.fromkeys(names, (AAA, BBB)))
    assert all(isinstance(outcome, Snapshot) for outcome in outcomes.values())
    # Targets are looked up together; then holdings that are no targets, whose numbers the portfolios told.
    first, rest = scene.questions[:-2], scene.questions[-2:]
    assert Counter(first) == {
        "server_time": 1,
        "managed_accounts": 1,
        "positions": 1,
        "portfolio": count,
        "contracts": 1,
    }
    assert rest == ["contracts", "quotes"]
    targets, others = scene.asked_for("contracts")
    assert targets == (AAA, BBB)
    assert others == (ContractQuery(symbol="CCC", con_id=ConId(103)),)
    (quoted,) = scene.asked_for("quotes")
    assert [contract.con_id for contract in quoted] == [101, 102, 103]


async def test_what_one_symbol_means_to_many_is_asked_in_the_order_of_the_accounts() -> None:
    """The order in which things are asked is the same in every run, also where symbols are alike."""
    meant = [ContractQuery(symbol="AAA", con_id=ConId(number)) for number in range(201, 209)]
    scene = Scene(accounts={name: FIFTY[name] for name in [*FIFTY][: len(meant)]})
    await scene.snapshots({f"DU{number}": (BBB, query) for number, query in enumerate(meant, start=1)})
    assert scene.asked_for("contracts")[0] == (*meant, BBB)


async def test_nothing_is_asked_for_no_account() -> None:
    scene = Scene()
    assert await scene.snapshots({}) == {}
    assert scene.questions == []


async def test_nothing_is_asked_about_an_account_that_the_gateway_does_not_manage() -> None:
    scene = Scene()
    outcomes = await scene.snapshots({"DU9": (AAA,), "DU1": (AAA,)})
    assert list(outcomes) == ["DU9", "DU1"]
    assert refusal(outcomes[AccountId("DU9")]) == (
        GatewayRefused,
        "ACCOUNT_NOT_MANAGED",
        "The gateway does not manage DU9; it manages DU1.",
        "Check account_id in accounts.yaml, and which user (and mode) the gateway is logged in with.",
    )
    assert whole(outcomes[AccountId("DU1")])
    assert scene.asked_for("portfolio") == ["DU1"]
    assert "DU9" not in str(scene.notices.heard)


async def test_holdings_are_looked_up_by_number_and_only_if_they_could_be_sold() -> None:
    market: dict[str, Any] = {
        "AAA C90": {"con_id": 201, "symbol": "AAA", "sec_type": "OPT", "strike": "90", "right": "C", "bid": "1"},
        "EEE": {"con_id": 202, "currency": "EUR", "bid": "9.99", "ask": "10.01", "last": "10"},
        "SSS": {"con_id": 203, "bid": "1", "ask": "1"},
        "TWO": [{"con_id": 204, "bid": "2", "ask": "2"}, {"con_id": 205, "primary_exchange": "NYSE"}],
    }
    held = {"AAA": 1, "AAA C90": 2, "EEE": 10, "SSS": -5, "CCC": "0.5", "BBB": 3, "204": 7}
    scene = Scene(market=market, rates={"EURUSD": "1.25"}, accounts={"DU1": {"positions": held}})
    (outcome,) = (await scene.snapshots({"DU1": (AAA,)})).values()
    _, others = scene.asked_for("contracts")
    assert [(query.symbol, query.con_id) for query in others] == [("BBB", 102), ("EEE", 202), ("TWO", 204)]
    assert set(whole(outcome).quotes) == {101, 102, 202, 204}
    assert len(whole(outcome).portfolio.holdings) == len(held)


async def test_a_holding_whose_contract_is_not_found_any_more_has_no_quote() -> None:
    """It is no reason to refuse the account: the plan will leave the holding alone."""
    scene = Scene(accounts={"DU1": {"positions": {"CCC": 4}}})
    whole_list = scene.market.contracts

    async def without_numbers(queries: Any) -> Any:
        found = await whole_list(queries)
        return {query: () if query.con_id else listed for query, listed in found.items()}

    scene.market.contracts = without_numbers  # type: ignore[method-assign]
    (outcome,) = (await scene.snapshots({"DU1": (AAA,)})).values()
    assert set(whole(outcome).contracts) == set(whole(outcome).quotes) == {101}
    assert whole(outcome).unquoted == {
        103: NoQuote(reason="Interactive Brokers describes no stock with con_id 103", remedy="Trade it by hand in TWS.")
    }


async def test_one_accounts_unknown_symbol_is_not_anothers() -> None:
    scene = Scene(accounts={"DU2": {"cash": "1"}})
    nope = ContractQuery(symbol="NOPE")
    outcomes = await scene.snapshots({"DU1": (AAA, nope), "DU2": (AAA,)})
    assert refusal(outcomes[AccountId("DU1")]) == (
        Refused,
        "CONTRACT_UNKNOWN",
        "Interactive Brokers knows no contract for NOPE (SMART/USD).",
        (
            "Correct the symbol at the allocation source, or name the contract: "
            "contracts: {NOPE: {con_id: …}} in accounts.yaml."
        ),
    )
    assert set(whole(outcomes[AccountId("DU2")]).targets) == {"AAA"}


async def test_all_unknown_symbols_are_named_at_once() -> None:
    nope, nada = ContractQuery(symbol="NOPE"), ContractQuery(symbol="NADA", con_id=ConId(9))
    (outcome,) = (await Scene().snapshots({"DU1": (nope, AAA, nada)})).values()
    assert refusal(outcome) == (
        Refused,
        "CONTRACT_UNKNOWN",
        "Interactive Brokers knows no contract for NOPE (SMART/USD), NADA (con_id 9).",
        (
            "Correct the symbols at the allocation source, or name the contracts: "
            "contracts: {NOPE: {con_id: …}, NADA: {con_id: …}} in accounts.yaml."
        ),
    )


async def test_one_accounts_ambiguous_symbol_is_not_anothers() -> None:
    twins = [
        {"con_id": 301, "primary_exchange": "NYSE", "name": "TWO CORP"},
        {"con_id": 302, "primary_exchange": "ARCA", "name": "TWO TRUST", "bid": "2", "ask": "2"},
    ]
    scene = Scene(market={"TWO": twins}, accounts={"DU2": {"cash": "1"}})
    outcomes = await scene.snapshots(
        {"DU1": (ContractQuery(symbol="TWO"),), "DU2": (ContractQuery(symbol="TWO", con_id=ConId(302)),)}
    )
    assert refusal(outcomes[AccountId("DU1")]) == (
        Refused,
        "CONTRACT_AMBIGUOUS",
        "TWO (SMART/USD) can mean 2 contracts: con_id 301 NYSE USD TWO CORP; con_id 302 ARCA USD TWO TRUST.",
        "Choose one in accounts.yaml: contracts: {TWO: {con_id: …}}.",
    )
    assert whole(outcomes[AccountId("DU2")]).targets["TWO"].con_id == 302


async def test_a_named_contract_that_is_no_stock() -> None:
    option = {"con_id": 201, "symbol": "AAA", "sec_type": "OPT", "strike": "90", "right": "C"}
    scene = Scene(market={"AAA C90": option})
    (outcome,) = (await scene.snapshots({"DU1": (ContractQuery(symbol="AAA", con_id=ConId(201)),)})).values()
    assert refusal(outcome)[:3] == (
        Refused,
        "CONTRACT_NOT_A_STOCK",
        "AAA (con_id 201) is a OPT contract; only stocks and ETFs are traded.",
    )


@pytest.mark.parametrize(
    ("then", "difference"),
    [
        ({"AAA": 90}, "AAA (100 listed, 90 in the portfolio)"),
        ({"AAA": 0}, "AAA (100 listed, 0 in the portfolio)"),
        ({"BBB": 1}, "BBB (0 listed, 1 in the portfolio)"),
        ({"AAA": 0, "CCC": "2.5"}, "AAA (100 listed, 0 in the portfolio), CCC (0 listed, 2.5 in the portfolio)"),
    ],
)
async def test_position_list_and_portfolio_that_disagree(then: dict[str, Any], difference: str) -> None:
    """The account alone is refused, and neither its contracts nor its quotes are taken for whole."""

    def trade() -> None:
        scene.change(accounts={"DU1": {"positions": then}})

    scene = Scene(accounts={"DU2": {"cash": "1"}}, meanwhile={"positions": trade})
    outcomes = await scene.snapshots({"DU1": (AAA,), "DU2": (AAA,)})
    assert refusal(outcomes[AccountId("DU1")]) == (
        Refused,
        "SNAPSHOT_INCONSISTENT",
        f"The gateway's position list and portfolio of DU1 disagree: {difference}. Nothing was planned.",
        "Run the command again in a minute; if it lasts, restart the gateway.",
    )
    assert whole(outcomes[AccountId("DU2")])


async def test_what_another_account_holds_makes_no_difference() -> None:
    """The position list is of all accounts; each is compared with its own part."""
    scene = Scene(accounts={"DU2": {"positions": {"AAA": 100, "BBB": 1}}})
    assert whole((await scene.snapshots({"DU1": (AAA,)}))[AccountId("DU1")])


@pytest.mark.parametrize("seconds", [-5, 0, 5])
@pytest.mark.parametrize("mode", TradingMode)
async def test_clocks_that_agree(mode: TradingMode, seconds: int) -> None:
    scene = Scene()
    scene.clock.advance(-1 + seconds)
    assert whole((await scene.snapshots({"DU1": (AAA,)}, mode=mode))[AccountId("DU1")])
    assert not [notice for notice in scene.notices.heard if notice.severity is Severity.WARNING]


APART = [(-6, "6 s"), (6, "6 s"), (3_600, "60 min"), (108_000, "30 h"), (95_891_946, "1110 days")]


@pytest.mark.parametrize(("seconds", "apart"), APART)
async def test_clocks_that_disagree_are_a_warning_on_paper(seconds: int, apart: str) -> None:
    scene = Scene()
    scene.clock.advance(-1 + seconds)
    assert whole((await scene.snapshots({"DU1": (AAA,)}))[AccountId("DU1")])
    text = f"The gateway's clock and this machine's are {apart} apart."
    assert Notice(event="clock.skewed", text=text, severity=Severity.WARNING) in scene.notices.heard


@pytest.mark.parametrize(("seconds", "apart"), APART)
async def test_clocks_that_disagree_refuse_everything_live(seconds: int, apart: str) -> None:
    scene = Scene()
    scene.clock.advance(-1 + seconds)
    with pytest.raises(Refused) as caught:
        await scene.snapshots({"DU1": (AAA,)}, mode=TradingMode.LIVE)
    assert refusal(caught.value) == (
        Refused,
        "CLOCK_SKEW",
        f"The gateway's clock and this machine's are {apart} apart.",
        "Set this machine's clock (for example with chrony) and run again.",
    )
    assert "quotes" not in scene.questions


@pytest.mark.parametrize("kind", [GatewayUnavailable, GatewayRefused])
@pytest.mark.parametrize("question", ["server_time", "managed_accounts", "positions", "contracts", "quotes"])
async def test_a_gateway_that_fails_in_the_middle(question: str, kind: type[RebalancerError]) -> None:
    """What concerns all accounts flies, and nothing more is asked than what was asked at the same time."""
    trouble = kind("SAID_SO", "The gateway is gone.", hint="Start it.")

    def fail() -> None:
        raise trouble

    scene = Scene(meanwhile={question: fail})
    with pytest.raises(kind) as caught:
        await scene.snapshots({"DU1": (AAA,)})
    assert caught.value is trouble
    assert scene.questions.count(question) == 1
    assert question == "quotes" or "quotes" not in scene.questions


async def test_a_gateway_that_is_lost_at_one_portfolio_is_lost_for_all() -> None:
    gone = GatewayUnavailable("LINK_DOWN", "The gateway is gone.", hint="Start it.")

    def fail() -> None:
        raise gone

    def fail_from_there() -> None:
        if scene.asked_for("portfolio"):
            raise GatewayUnavailable("LINK_DOWN", "The gateway is still gone.", hint="Start it.")

    scene = Scene(accounts=FIFTY, meanwhile={"portfolio": fail, "server_time": fail_from_there})
    with pytest.raises(GatewayUnavailable) as caught:
        await scene.snapshots(dict.fromkeys(FIFTY, (AAA,)))
    assert caught.value is gone
    assert scene.asked_for("portfolio") == ["DU1"]


async def test_a_portfolio_that_does_not_come_while_the_clock_does_is_one_accounts_trouble() -> None:
    silent = GatewayUnavailable("SNAPSHOT_INCOMPLETE", "No portfolio of DU1.", hint="Wait.")

    def fail_once() -> None:
        if scene.asked_for("portfolio") == ["DU1"]:
            raise silent

    scene = Scene(accounts={"DU2": {"cash": "1"}}, meanwhile={"portfolio": fail_once})
    outcomes = await scene.snapshots({"DU1": (AAA,), "DU2": (AAA,)})
    assert outcomes[AccountId("DU1")] is silent
    assert whole(outcomes[AccountId("DU2")])


async def test_a_portfolio_that_the_gateway_refuses_is_one_accounts_trouble() -> None:
    no = GatewayRefused("GATEWAY_REFUSED", "The gateway refused the portfolio of DU1.", hint="Ask it.")

    def refuse_once() -> None:
        if scene.asked_for("portfolio") == ["DU1"]:
            raise no

    scene = Scene(accounts={"DU2": {"cash": "1"}}, meanwhile={"portfolio": refuse_once})
    outcomes = await scene.snapshots({"DU1": (AAA,), "DU2": (AAA,)})
    assert outcomes[AccountId("DU1")] is no
    assert whole(outcomes[AccountId("DU2")])


async def test_steps_are_told_in_order() -> None:
    scene = Scene(accounts={"DU2": {"positions": {"CCC": 1}}})
    await scene.snapshots({"DU1": (AAA, BBB), "DU2": (AAA,)})
    assert [(notice.event, notice.text, notice.account) for notice in scene.notices.heard] == [
        ("clock.ask", "Asking the gateway for the time", None),
        ("contracts.lookup", "Looking up 2 contracts", None),
        ("positions.list", "Listing positions", None),
        ("account.read", "Reading DU1", "DU1"),
        ("account.read", "Reading DU2", "DU2"),
        ("quotes.request", "Asking for 3 quotes", None),
    ]
    assert {notice.severity for notice in scene.notices.heard} == {Severity.STEP}


async def test_a_step_is_told_before_it_is_taken() -> None:
    """Who waits should know for what."""
    steps = {"positions": "positions.list", "portfolio": "account.read", "quotes": "quotes.request"}
    told: list[str] = []

    def note(question: str) -> Callable[[], None]:
        return lambda: told.append(question) if steps[question] in events() else None

    def events() -> list[str]:
        return [notice.event for notice in scene.notices.heard]

    scene = Scene(meanwhile={question: note(question) for question in steps})
    await scene.snapshots({"DU1": (AAA,)})
    assert told == [*steps]


async def test_what_needs_no_other_answer_is_asked_at_the_same_time() -> None:
    """None of these is answered before all of them are asked."""
    scene = Scene()
    asked = {name: asyncio.Event() for name in ("server_time", "positions", "portfolio", "contracts")}

    class Waiting:
        """The market, but for answers that wait until everything is asked."""

        def __getattr__(self, name: str) -> Any:
            answer = getattr(scene.market, name)

            async def late(*arguments: Any) -> Any:
                if name in asked:
                    asked[name].set()
                    await asyncio.gather(*(each.wait() for each in asked.values()))
                return await answer(*arguments)

            return late

    async with asyncio.timeout(5):
        outcomes = await take_snapshots(
            {AccountId("DU1"): {"AAA": AAA}},
            max_quote_age_s=MAX_QUOTE_AGE_S,
            mode=TradingMode.PAPER,
            market=cast("MarketView", Waiting()),
            clock=scene.clock,
            observer=scene.notices,
        )
    assert isinstance(outcomes[AccountId("DU1")], Snapshot)


async def test_portfolios_alone_need_neither_contracts_nor_quotes() -> None:
    scene = Scene(accounts={"DU2": {"cash": "1"}})
    portfolios = await read_portfolios(
        [AccountId("DU9"), AccountId("DU1")], market=scene.market, observer=scene.notices
    )
    assert refusal(portfolios[AccountId("DU9")])[1] == "ACCOUNT_NOT_MANAGED"
    portfolio = portfolios[AccountId("DU1")]
    assert isinstance(portfolio, Portfolio)
    assert portfolio.balances.net_liquidation == Decimal(20_000)
    assert scene.market.asked == [("managed_accounts", None), ("positions", None), ("portfolio", "DU1")]
    assert scene.notices.texts == ["Listing positions", "Reading DU1"]
