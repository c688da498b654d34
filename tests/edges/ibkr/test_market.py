"""What the gateway is asked, and that every answer is whole, of this request, or an error that names the part."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from tests.support.reading import (
    DU1,
    NOW,
    SOON_S,
    Notices,
    candidates,
    quoted,
    read_everything,
    reading,
    until,
)
from tests.support.sandbox import StartSandbox, fault, order_messages, received, sent

from ibkr_rebalancer.core.errors import GatewayRefused, GatewayUnavailable, RebalancerError
from ibkr_rebalancer.core.instruments import ConId, Contract, ContractQuery
from ibkr_rebalancer.core.notices import Severity
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.quotes import DataKind, NoQuote, Quote, unpriced
from ibkr_rebalancer.edges.ibkr import market as market_module
from ibkr_rebalancer.edges.ibkr.market import GatewayMarket
from ibkr_rebalancer.sandbox.log import Record

AAA, BBB = ContractQuery(symbol="AAA"), ContractQuery(symbol="BBB")
Ask = Callable[[GatewayMarket], Awaitable[Any]]

QUESTIONS: dict[str, tuple[Ask, str]] = {
    "reqCurrentTime": (lambda market: market.server_time(), "the gateway's clock"),
    "reqPositions": (lambda market: market.positions([DU1]), "the position list"),
    "reqAccountUpdates": (lambda market: market.portfolio(DU1), "the portfolio of DU1"),
    "reqContractDetails": (lambda market: lookup(market, AAA), "the contract of AAA"),
    "reqMktData": (lambda market: market.quotes([instrument(101, "AAA")]), "quote"),
}
"""Each question with the words that name its part of a snapshot."""
PARTS = [
    "Before a session had started",
    "the gateway's clock",
    "the position list",
    "the portfolio of",
    "the contract of",
    "the quote of",
]
WHOLE_ANSWERS = [request for request in QUESTIONS if request != "reqMktData"]
UNKNOWN_CONTRACT = ("reqContractDetails", 200)
"""The one refusal that is an answer."""
REFUSALS = [pair for pair in product(WHOLE_ANSWERS, [100, 162, 200, 320, 321, 322]) if pair != UNKNOWN_CONTRACT]


async def lookup(market: GatewayMarket, query: ContractQuery) -> Sequence[Contract]:
    return candidates((await market.contracts([query]))[query])


def instrument(con_id: int, symbol: str) -> Contract:
    return Contract(
        con_id=ConId(con_id),
        symbol=symbol,
        security_type="STK",
        currency="USD",
        primary_exchange="ARCA",
        name=symbol,
        tick_size=Decimal("0.01"),
        price_magnifier=1,
        sessions=None,
    )


async def failure_of(ask: Ask, market: GatewayMarket) -> RebalancerError:
    with pytest.raises(RebalancerError) as caught:
        await ask(market)
    return caught.value


async def test_positions_of_all_accounts(start_sandbox: StartSandbox) -> None:
    accounts = {"DU1": {"positions": {"AAA": "12.5"}}, "DU2": {"cash": "5", "positions": {"BBB": -3, "CCC": 0}}}
    sandbox = await start_sandbox(accounts=accounts)
    async with reading(sandbox.gateway_port) as market:
        assert await market.managed_accounts() == ("DU1", "DU2")
        listed = await market.positions(await market.managed_accounts())
    held = {(p.account, p.symbol, p.con_id): p.quantity for p in listed}
    assert held == {("DU1", "AAA", 101): Decimal("12.5"), ("DU2", "BBB", 102): Decimal(-3)}


@pytest.mark.parametrize("lost", ["position", "avgCost"])
async def test_a_position_of_another_account_that_cannot_be_read(start_sandbox: StartSandbox, lost: str) -> None:
    sandbox = await start_sandbox(
        accounts={"DU2": {"cash": "5", "positions": {"BBB": 3}}},
        faults=[fault("position", "alter", where={"account": "DU2"}, parameters={lost: "nan"})],
    )
    async with reading(sandbox.gateway_port) as market:
        (position,) = await market.positions([DU1])
        everybody = await failure_of(lambda m: m.positions([DU1, AccountId("DU2")]), market)
    assert (position.account, position.symbol) == (DU1, "AAA")
    assert everybody.message == "The gateway gives no quantity or no cost for BBB in DU2."


async def test_a_portfolio_in_two_currencies(start_sandbox: StartSandbox) -> None:
    account = {"type": "CASH", "currency": "EUR", "cash": {"EUR": "100.25", "USD": "-50.5"}, "positions": {"AAA": 100}}
    sandbox = await start_sandbox(accounts={"DU1": account}, rates={"EURUSD": "1.25"})
    async with reading(sandbox.gateway_port) as market:
        portfolio = await market.portfolio(DU1)
    balances = portfolio.balances
    assert balances.currency == "EUR"
    assert dict(balances.cash) == {"EUR": Decimal("100.25"), "USD": Decimal("-50.50")}
    assert balances.total_cash == Decimal("59.85")
    assert balances.net_liquidation == Decimal("8059.85")
    (holding,) = portfolio.holdings
    assert (holding.position.symbol, holding.position.currency) == ("AAA", "USD")
    assert [holding.position.quantity, holding.market_price, holding.market_value] == [100, 100, 10_000]


async def test_an_account_that_holds_nothing(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(accounts={"DU1": {"positions": {"AAA": 0}}})
    async with reading(sandbox.gateway_port) as market:
        assert await market.positions([DU1]) == ()
        assert (await market.portfolio(DU1)).holdings == ()


async def test_the_gateways_clock(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(clock="2027-01-02T03:04:05+00:00")
    async with reading(sandbox.gateway_port) as market:
        assert (await market.server_time()).isoformat().startswith("2027-01-02T03:04:")


async def test_contracts_as_the_gateway_describes_them(start_sandbox: StartSandbox) -> None:
    market_of = {
        "AAA": {"min_tick": "0.0001", "primary_exchange": "NASDAQ", "name": "ÄLPHA", "hours": "always"},
        "TWO": [{"con_id": 7, "primary_exchange": "NYSE"}, {"con_id": 8, "primary_exchange": "ARCA"}],
        "EUR": {"con_id": 9, "currency": "EUR"},
        "OPT": {"con_id": 10, "sec_type": "OPT", "symbol": "AAA", "strike": "90", "right": "C"},
    }
    sandbox = await start_sandbox(market=market_of)
    queries = {
        "one": AAA,
        "unknown": ContractQuery(symbol="NOPE"),
        "ambiguous": ContractQuery(symbol="TWO"),
        "narrowed": ContractQuery(symbol="TWO", primary_exchange="NYSE"),
        "other currency": ContractQuery(symbol="EUR"),
        "in its currency": ContractQuery(symbol="EUR", currency="EUR"),
        "by number, in whatever currency": ContractQuery(symbol="EUR", con_id=ConId(9)),
        "by number, no stock": ContractQuery(symbol="AAA", con_id=ConId(10)),
        "unknown number": ContractQuery(symbol="AAA", con_id=ConId(999)),
    }
    async with reading(sandbox.gateway_port) as market:
        found = await market.contracts([*queries.values(), AAA])
    con_ids = {name: [contract.con_id for contract in candidates(found[query])] for name, query in queries.items()}
    assert con_ids == {
        "one": [101],
        "unknown": [],
        "ambiguous": [7, 8],
        "narrowed": [7],
        "other currency": [],
        "in its currency": [9],
        "by number, in whatever currency": [9],
        "by number, no stock": [10],
        "unknown number": [],
    }
    (aaa,) = candidates(found[AAA])
    assert (aaa.tick_size, aaa.primary_exchange, aaa.name) == (Decimal("0.0001"), "NASDAQ", "ÄLPHA")
    assert aaa.sessions
    assert len(received(sandbox.log, "reqContractDetails")) == len(queries)


@pytest.mark.parametrize(
    ("listing", "kind", "bid"),
    [
        ({}, DataKind.LIVE, Decimal("99.99")),
        ({"data": "delayed"}, DataKind.DELAYED, Decimal("99.99")),
        ({"data": "frozen"}, DataKind.FROZEN, Decimal("99.99")),
        ({"bid": None}, DataKind.LIVE, None),
        ({"bid": "0"}, DataKind.LIVE, None),
        ({"bid": "-1"}, DataKind.LIVE, None),
    ],
)
async def test_quotes_say_how_current_they_are(
    start_sandbox: StartSandbox, listing: dict[str, str | None], kind: DataKind, bid: Decimal | None
) -> None:
    sandbox = await start_sandbox(market={"AAA": listing})
    async with reading(sandbox.gateway_port) as market:
        quote = quoted((await market.quotes([instrument(101, "AAA")]))[ConId(101)])
    assert (quote.data, quote.bid) == (kind, bid)
    assert (quote.last, quote.close) == (Decimal(100), Decimal(99))
    assert quote.received_at == NOW


async def test_no_quotes_are_asked_for_nothing(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        assert await market.quotes([]) == {}
    assert not received(sandbox.log, "reqMktData")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (354, "not subscribed (code 354). Subscribe"),
        (10168, "delayed data are not enabled (code 10168)"),
        (200, "no contract fits (code 200)"),
        (10197, "another session of the same user has the market data (code 10197). Log this user out"),
        (77777, "the gateway refuses (code 77777)"),
    ],
)
async def test_one_symbol_without_prices_is_missing_and_told(
    start_sandbox: StartSandbox, code: int, words: str
) -> None:
    refusal = fault("reqMktData", "error", where={"conId": "102"}, parameters={"code": code})
    sandbox = await start_sandbox(faults=[refusal])
    notices = Notices()
    async with reading(sandbox.gateway_port, observer=notices) as market:
        quotes = await market.quotes([instrument(101, "AAA"), instrument(102, "BBB"), instrument(103, "CCC")])
    assert {con_id for con_id, answer in quotes.items() if isinstance(answer, Quote)} == {101, 103}
    (notice,) = notices.heard
    assert notice.severity is Severity.WARNING
    assert notice.text == f"No price for BBB: {quotes[ConId(102)]}"
    assert words in notice.text


async def test_symbols_missing_for_the_same_reason_are_told_together(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(market={"AAA": {"data": "none"}, "BBB": {"data": "none"}})
    notices = Notices()
    async with reading(sandbox.gateway_port, observer=notices) as market:
        missing = await market.quotes([instrument(101, "AAA"), instrument(102, "BBB")])
    assert (
        missing[ConId(101)]
        == missing[ConId(102)]
        == NoQuote(
            reason="market data are not subscribed (code 354)",
            remedy="Subscribe to the exchange's data in Client Portal, or enable delayed data in the gateway.",
        )
    )
    assert len(notices.texts) == 1
    assert notices.texts[0].startswith("No price for AAA, BBB: ")


@pytest.mark.parametrize("code", [2103, 2105, 2157])
async def test_a_broken_farm_explains_missing_prices(start_sandbox: StartSandbox, code: int) -> None:
    sandbox = await start_sandbox(market={"AAA": {"bid": None, "ask": None, "last": None, "close": None}})
    notices = Notices()
    async with reading(sandbox.gateway_port, observer=notices) as market:
        sandbox.notice(code)
        await market.server_time()
        await market.quotes([instrument(101, "AAA")])
        sandbox.notice(code + 1)
        await market.server_time()
        await market.quotes([instrument(101, "AAA")])
    broken, mended = notices.texts
    assert "No price for AAA: the gateway reports broken data farms: " in broken
    assert mended == f"No price for AAA: {unpriced(None)}"


async def test_a_quote_does_not_wait_for_its_end_when_it_has_all_prices(start_sandbox: StartSandbox) -> None:
    """A real gateway may take eleven seconds to say that a snapshot is over."""
    sandbox = await start_sandbox(faults=[fault("tickSnapshotEnd", "drop")])
    async with reading(sandbox.gateway_port, quotes_s=60) as market, asyncio.timeout(5):
        assert set(await market.quotes([instrument(101, "AAA"), instrument(102, "BBB")])) == {101, 102}


@pytest.mark.parametrize("data", ["live", "delayed"])
async def test_a_halt_is_read_with_the_prices(start_sandbox: StartSandbox, data: str) -> None:
    sandbox = await start_sandbox(market={"AAA": {"halted": True, "data": data}, "BBB": {"data": data}})
    async with reading(sandbox.gateway_port) as market:
        quotes = await market.quotes([instrument(101, "AAA"), instrument(102, "BBB")])
    assert {con_id: quoted(answer).is_halted for con_id, answer in quotes.items()} == {101: True, 102: False}


async def test_a_halt_that_is_told_a_little_after_the_prices_counts(
    start_sandbox: StartSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the snapshot, which real gateways tell much later, does not come."""
    monkeypatch.setattr(market_module, "HALT_LULL_S", 5.0)
    late = [fault("tickGeneric", "delay", parameters={"ms": 100}), fault("tickSnapshotEnd", "drop")]
    sandbox = await start_sandbox(market={"AAA": {"halted": True}}, faults=late)
    async with reading(sandbox.gateway_port, quotes_s=60) as market, asyncio.timeout(4):
        assert quoted((await market.quotes([instrument(101, "AAA")]))[ConId(101)]).is_halted


async def test_nobody_waits_long_for_a_gateway_that_says_nothing_of_halts(start_sandbox: StartSandbox) -> None:
    silent = [fault("tickGeneric", "drop"), fault("tickSnapshotEnd", "drop")]
    sandbox = await start_sandbox(market={"AAA": {"halted": True}}, faults=silent)
    async with reading(sandbox.gateway_port, quotes_s=60) as market, asyncio.timeout(5):
        assert not quoted((await market.quotes([instrument(101, "AAA")]))[ConId(101)]).is_halted


@pytest.mark.parametrize(
    ("tick", "value", "halted"), [(49, 1, True), (49, 2, True), (49, 0, False), (49, -1, False), (46, 3, False)]
)
async def test_what_the_gateway_says_of_a_halt(
    start_sandbox: StartSandbox, tick: int, value: int, halted: bool
) -> None:
    said = fault("tickGeneric", "alter", parameters={"tickType": str(tick), "value": str(value)})
    sandbox = await start_sandbox(faults=[said])
    async with reading(sandbox.gateway_port) as market:
        assert quoted((await market.quotes([instrument(101, "AAA")]))[ConId(101)]).is_halted is halted


async def test_prices_that_are_refused_after_all_do_not_count(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(
        market={"AAA": {"close": None}}, faults=[fault("tickSnapshotEnd", "error", parameters={"code": 10197})]
    )
    async with reading(sandbox.gateway_port) as market:
        answer = (await market.quotes([instrument(101, "AAA")]))[ConId(101)]
    assert isinstance(answer, NoQuote)
    assert "(code 10197)" in answer.reason


async def test_prices_that_came_by_the_deadline_count(start_sandbox: StartSandbox) -> None:
    late = [fault("tickSnapshotEnd", "drop"), fault("tickPrice", "drop", where={"reqId": "1", "tickType": "9"})]
    sandbox = await start_sandbox(faults=late)
    async with reading(sandbox.gateway_port, quotes_s=SOON_S) as market:
        quote = quoted((await market.quotes([instrument(101, "AAA")]))[ConId(101)])
    assert (quote.bid, quote.ask, quote.close) == (Decimal("99.99"), Decimal("100.01"), None)


def lines_in_use(log: list[Record]) -> list[int]:
    """How many snapshots were under way after each message: ended by the gateway, refused, or given up by us."""
    under_way: set[str] = set()
    counts = []
    for record in (record for record in log if "dir" in record):
        message, fields = record["message"], record["fields"]
        if message == "reqMktData":
            under_way.add(fields[2])
        elif message in {"cancelMktData", "tickSnapshotEnd", "error"}:
            under_way.discard(fields[2])
        counts.append(len(under_way))
    return counts


@pytest.mark.parametrize(
    "faults",
    [
        [fault("tickSnapshotEnd", "drop")],
        [fault("reqMktData", "drop", after=1)],
        [fault("reqMktData", "error", where={"conId": "1003"}, parameters={"code": 354})],
    ],
    ids=["ended early", "unanswered", "refused"],
)
async def test_market_data_lines_are_few_and_given_back(
    start_sandbox: StartSandbox, monkeypatch: pytest.MonkeyPatch, faults: list[Any]
) -> None:
    monkeypatch.setattr(market_module, "QUOTES_AT_ONCE", 3)
    listing = {"bid": "9.99", "ask": "10.01", "last": "10", "close": "10"}
    listings = {f"S{number}": listing | {"con_id": number} for number in range(1000, 1008)}
    sandbox = await start_sandbox(market=listings, faults=faults)
    async with reading(sandbox.gateway_port, quotes_s=SOON_S) as market:
        answers = await market.quotes([instrument(number, f"S{number}") for number in range(1000, 1008)])
        assert len(answers) == 8
        await market.server_time()
        assert len(received(sandbox.log, "reqMktData")) == 8
        assert max(lines_in_use(sandbox.log)) <= 3
        # The last ones are whole, nobody waits for their lines, and the gateway ends them in its own time.
        assert lines_in_use(sandbox.log)[-1] <= (3 if faults[0]["when"]["message"] == "tickSnapshotEnd" else 0)


async def test_while_lines_are_free_none_is_given_up_before_its_end(start_sandbox: StartSandbox) -> None:
    """Every message counts against the gateway's limit, and it ends a snapshot by itself."""
    sandbox = await start_sandbox(market={"AAA": {"close": None}, "BBB": {"data": "none"}})
    async with reading(sandbox.gateway_port) as market:
        await market.quotes([instrument(101, "AAA"), instrument(102, "BBB"), instrument(103, "CCC")])
        await market.server_time()
    assert received(sandbox.log, "reqMktData")
    assert not received(sandbox.log, "cancelMktData")


def test_a_tenth_of_the_market_data_lines_is_left_to_others() -> None:
    assert market_module.QUOTES_AT_ONCE == 90


async def test_prices_are_live_only_if_the_gateway_says_so(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("marketDataType", "drop")])
    async with reading(sandbox.gateway_port) as market:
        quote = quoted((await market.quotes([instrument(101, "AAA")]))[ConId(101)])
    assert quote.data is DataKind.FROZEN


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        (fault("reqContractDetails", "drop", where={"symbol": "BBB"}), GatewayUnavailable, "did not deliver"),
        (fault("contractDetailsEnd", "drop", count=1, after=1), GatewayUnavailable, "did not deliver"),
        *(
            (
                fault("reqContractDetails", "error", where={"symbol": "BBB"}, parameters={"code": code}),
                GatewayRefused,
                f"(code {code}: ",
            )
            for code in (162, 321, 322, 10197)
        ),
        (
            fault("contractDetails", "alter", where={"symbol": "BBB"}, parameters={"minTick": "0"}),
            GatewayUnavailable,
            "lacks its conId or its price step",
        ),
    ],
)
async def test_a_lookup_that_fails_concerns_no_other(
    start_sandbox: StartSandbox, trouble: Any, kind: type[RebalancerError], words: str
) -> None:
    sandbox = await start_sandbox(faults=[trouble])
    async with reading(sandbox.gateway_port, answer_s=0.5) as market:
        found = await market.contracts([AAA, BBB])
    assert [contract.con_id for contract in candidates(found[AAA])] == [101]
    assert isinstance(found[BBB], kind)
    assert words in str(found[BBB])
    assert "BBB" in str(found[BBB])


async def test_lookups_that_a_silent_gateway_leaves_unanswered_are_nobodys_own(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("contractDetailsEnd", "mute", count=1, after=1)])
    async with reading(sandbox.gateway_port, answer_s=SOON_S) as market:
        with pytest.raises(GatewayUnavailable, match="did not deliver the contract of BBB to the end within"):
            await market.contracts([AAA, BBB])


@pytest.mark.parametrize("request_name", QUESTIONS)
async def test_a_question_left_unanswered(start_sandbox: StartSandbox, request_name: str) -> None:
    ask, part = QUESTIONS[request_name]
    sandbox = await start_sandbox(faults=[fault(request_name, "drop")])
    async with reading(sandbox.gateway_port, answer_s=SOON_S, quotes_s=SOON_S) as market:
        error = await failure_of(ask, market)
    assert isinstance(error, GatewayUnavailable)
    assert error.exit_code == 20
    assert error.code == "SNAPSHOT_INCOMPLETE"
    assert part in error.message
    assert "to the end within 0.1" in error.message
    assert "restart the gateway" in error.hint


@pytest.mark.parametrize(
    ("end", "request_name"),
    [
        ("positionEnd", "reqPositions"),
        ("accountDownloadEnd", "reqAccountUpdates"),
        ("contractDetailsEnd", "reqContractDetails"),
    ],
)
async def test_an_answer_without_its_end(start_sandbox: StartSandbox, end: str, request_name: str) -> None:
    ask, part = QUESTIONS[request_name]
    sandbox = await start_sandbox(faults=[fault(end, "drop")])
    async with reading(sandbox.gateway_port, answer_s=SOON_S) as market:
        error = await failure_of(ask, market)
    assert (error.code, error.exit_code) == ("SNAPSHOT_INCOMPLETE", 20)
    assert part in error.message


@pytest.mark.parametrize(("request_name", "code"), REFUSALS)
async def test_a_refusal_is_an_error_at_once(start_sandbox: StartSandbox, request_name: str, code: int) -> None:
    ask, part = QUESTIONS[request_name]
    sandbox = await start_sandbox(
        faults=[fault(request_name, "error", parameters={"code": code, "text": "so says the gateway"})]
    )
    async with reading(sandbox.gateway_port, answer_s=60) as market, asyncio.timeout(5):
        error = await failure_of(ask, market)
    assert isinstance(error, GatewayRefused)
    assert error.exit_code == 21
    assert error.code == "GATEWAY_REFUSED"
    assert part in error.message
    assert f"(code {code}: so says the gateway)" in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("message", "code", "request_name"),
    [("positionEnd", 77777, "reqPositions"), ("contractDetails", 321, "reqContractDetails")],
)
async def test_a_message_about_no_request_ends_none(
    start_sandbox: StartSandbox, message: str, code: int, request_name: str
) -> None:
    """Without a number, only a known refusal is taken for that of the request that has none either."""
    sandbox = await start_sandbox(faults=[fault(message, "notice", parameters={"code": code})])
    async with reading(sandbox.gateway_port) as market:
        assert await QUESTIONS[request_name][0](market)


async def test_an_account_that_the_gateway_does_not_know(start_sandbox: StartSandbox) -> None:
    """One account's refusal leaves the connection good for the next account."""
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        error = await failure_of(lambda m: m.portfolio("DU9"), market)  # type: ignore[arg-type]  # plain text will do
        assert error.code == "GATEWAY_REFUSED"
        assert "DU9" in error.message
        assert (await market.portfolio(DU1)).holdings


@pytest.mark.parametrize("request_name", QUESTIONS)
async def test_nonsense_in_the_middle(start_sandbox: StartSandbox, request_name: str) -> None:
    ask, part = QUESTIONS[request_name]
    sandbox = await start_sandbox(faults=[fault(request_name, "garbage")])
    async with reading(sandbox.gateway_port, answer_s=60, quotes_s=60) as market, asyncio.timeout(5):
        error = await failure_of(ask, market)
    assert (error.code, error.exit_code) == ("GATEWAY_PROTOCOL", 20)
    assert "while" in error.message
    assert part in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("message", "field", "request_name"),
    [
        ("position", "position", "reqPositions"),
        ("updatePortfolio", "marketValue", "reqAccountUpdates"),
        ("contractDetails", "minTick", "reqContractDetails"),
        ("currentTime", "time", "reqCurrentTime"),
    ],
)
async def test_a_message_that_cannot_be_decoded_is_not_passed_over(
    start_sandbox: StartSandbox, message: str, field: str, request_name: str
) -> None:
    """ib_async logs such a message and drops it: the answer would be whole but for one row."""
    ask, part = QUESTIONS[request_name]
    sandbox = await start_sandbox(faults=[fault(message, "alter", parameters={field: "twelve"})])
    async with reading(sandbox.gateway_port) as market:
        error = await failure_of(ask, market)
    assert error.code == "GATEWAY_PROTOCOL"
    assert part in error.message


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "lack NetLiquidation"),
        ("nan", "lack NetLiquidation"),
        ("", "lack NetLiquidation"),
    ],
)
async def test_a_figure_that_is_missing(start_sandbox: StartSandbox, value: str | None, words: str) -> None:
    what = {"where": {"key": "NetLiquidation"}}
    missing = (
        fault("updateAccountValue", "drop", **what)
        if value is None
        else fault("updateAccountValue", "alter", parameters={"value": value}, **what)
    )
    sandbox = await start_sandbox(faults=[missing])
    async with reading(sandbox.gateway_port) as market:
        error = await failure_of(lambda m: m.portfolio(DU1), market)
    assert isinstance(error, GatewayUnavailable)
    assert (error.code, error.exit_code) == ("SNAPSHOT_INCOMPLETE", 20)
    assert f"figures of DU1 {words}" in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("where", "lacking"),
    [
        ({"key": "TotalCashValue"}, "TotalCashValue"),
        ({"key": "AvailableFunds"}, "AvailableFunds"),
        ({"key": "AccountType"}, "AccountType"),
        ({"key": "CashBalance"}, "CashBalance in USD"),
        ({"key": "CashBalance", "currency": "USD"}, "CashBalance in USD"),
    ],
)
@pytest.mark.parametrize("cash", [{"USD": "10000"}, {"USD": "10000", "EUR": "250"}], ids=["", "EUR too"])
async def test_every_figure_that_a_plan_needs(
    start_sandbox: StartSandbox, cash: dict[str, str], where: dict[str, str], lacking: str
) -> None:
    sandbox = await start_sandbox(
        accounts={"DU1": {"cash": cash}},
        rates={"EURUSD": "1.1"},
        faults=[fault("updateAccountValue", "drop", where=where)],
    )
    async with reading(sandbox.gateway_port) as market:
        error = await failure_of(lambda m: m.portfolio(DU1), market)
    assert error.code == "SNAPSHOT_INCOMPLETE"
    assert error.message == f"The gateway's figures of DU1 lack {lacking}."


async def test_a_currency_whose_row_is_lost(start_sandbox: StartSandbox) -> None:
    """Another one's balance would pass for all there is, and a loan for none."""
    sandbox = await start_sandbox(
        accounts={"DU1": {"cash": {"USD": "10000", "EUR": "-8000"}}},
        rates={"EURUSD": "1.1"},
        faults=[fault("updateAccountValue", "drop", where={"key": "CashBalance", "currency": "EUR"})],
    )
    async with reading(sandbox.gateway_port) as market:
        error = await failure_of(lambda m: m.portfolio(DU1), market)
    assert error.code == "SNAPSHOT_INCOMPLETE"
    assert error.message.endswith("comes to 10,000.00 USD, but its TotalCashValue is 1,200.00.")


async def test_a_base_currency_that_is_missing(start_sandbox: StartSandbox) -> None:
    nameless = fault("updateAccountValue", "alter", where={"key": "NetLiquidation"}, parameters={"currency": ""})
    sandbox = await start_sandbox(faults=[nameless])
    async with reading(sandbox.gateway_port) as market:
        error = await failure_of(lambda m: m.portfolio(DU1), market)
    assert error.code == "SNAPSHOT_INCOMPLETE"


async def test_a_sign_of_life_is_not_waited_for_as_long_as_an_answer(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[fault("updateAccountValue", "mute")])
    async with reading(sandbox.gateway_port, answer_s=0.5, life_s=SOON_S) as market:
        assert await market.server_time()
        late = await failure_of(lambda m: m.portfolio(DU1), market)
        gone = await failure_of(lambda m: m.server_time(), market)
    assert late.message == "The gateway did not deliver the portfolio of DU1 to the end within 0.5 s."
    assert gone.message == f"The gateway did not deliver the gateway's clock to the end within {SOON_S} s."


async def test_an_account_that_is_not_ready(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(accounts={"DU1": {"values": {"AccountReady": "false"}}})
    async with reading(sandbox.gateway_port) as market:
        error = await failure_of(lambda m: m.portfolio(DU1), market)
    assert isinstance(error, GatewayUnavailable)
    assert (error.code, error.exit_code) == ("ACCOUNT_NOT_READY", 20)
    assert "DU1" in error.message
    assert "a few minutes" in error.hint


async def test_a_late_position_list_is_not_taken_for_the_next_one(start_sandbox: StartSandbox) -> None:
    """Nothing tells two lists apart: the end of a late one would make the next one whole with half its rows."""
    sandbox = await start_sandbox(faults=[fault("reqPositions", "delay", count=1, parameters={"ms": 300})])
    async with reading(sandbox.gateway_port, answer_s=SOON_S) as market:
        assert market.is_of_use
        late = await failure_of(lambda m: m.positions([DU1]), market)
        assert not market.is_of_use, "what is owed may never come"
        refused = await failure_of(lambda m: m.positions([DU1]), market)
        assert await market.server_time(), "other questions are not concerned"
        await until(lambda: market.is_of_use)
        (position,) = await market.positions([DU1])
    assert "did not deliver the position list" in late.message
    assert "still owed an earlier answer while the position list was to be read" in refused.message
    assert (refused.code, refused.exit_code) == ("SNAPSHOT_INCOMPLETE", 20)
    assert position.quantity == 100
    assert len(received(sandbox.log, "reqPositions")) == 2


async def test_an_answer_owed_since_the_link_was_lost_is_not_awaited_on_this_connection(
    start_sandbox: StartSandbox,
) -> None:
    """While the link is down, that is the trouble; once it is back, the old answer is."""
    faults = [
        fault("positionEnd", "drop", count=1),
        fault("positionEnd", "notice", count=1, parameters={"code": 1100}),
    ]
    sandbox = await start_sandbox(faults=faults)
    async with reading(sandbox.gateway_port) as market:
        lost = await failure_of(lambda m: m.positions([DU1]), market)
        still_lost = await failure_of(lambda m: m.positions([DU1]), market)
        assert market.is_of_use
        sandbox.notice(1101)
        await until(lambda: not market.is_of_use)
    assert lost.code == still_lost.code == "LINK_DOWN"


@pytest.mark.parametrize("message", ["position", "updateAccountValue", "contractDetails", "tickPrice"])
async def test_messages_that_come_twice(start_sandbox: StartSandbox, message: str) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        once = await read_everything(market)
    doubled = await start_sandbox(faults=[fault(message, "duplicate")])
    async with reading(doubled.gateway_port) as market:
        twice = await read_everything(market)
    if message != "contractDetails":
        assert twice == once


async def test_reading_again_sees_what_has_changed(start_sandbox: StartSandbox) -> None:
    """What `positions --follow` does for hours: every look is fresh, and none leaves anything behind."""
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        tasks = asyncio.all_tasks()
        for shares in range(1, 10):
            sandbox.change({"accounts": {"DU1": {"positions": {"AAA": shares}}}})
            (position,) = await market.positions([DU1])
            (holding,) = (await market.portfolio(DU1)).holdings
            assert position.quantity == holding.position.quantity == shares
        sandbox.change({"accounts": {"DU1": {"positions": {"AAA": 0}}}})
        assert (await market.portfolio(DU1)).holdings == ()
        assert not market._conversation.answers._open
        assert asyncio.all_tasks() == tasks


async def test_subscriptions_end_with_their_answer(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with reading(sandbox.gateway_port) as market:
        await market.positions([DU1])
        await market.portfolio(DU1)
        await market.server_time()
        before = len(sent(sandbox.log))
        sandbox.change({"accounts": {"DU1": {"positions": {"AAA": 7}}}})
        assert len(sent(sandbox.log)) == before
    assert not order_messages(sandbox.log)


@pytest.mark.parametrize("latency_ms", [0, 1])
async def test_a_conversation_cut_at_any_frame(start_sandbox: StartSandbox, latency_ms: int) -> None:
    """Wherever it is cut, there is an error that names a part; or nothing was missing, and the answers are whole."""
    sandbox = await start_sandbox(latency_ms=latency_ms)
    whole = await everything_or_error(sandbox.gateway_port)
    assert isinstance(whole, list)
    errors: list[GatewayUnavailable] = []
    for cut in range(len(sent(sandbox.log))):
        broken = await start_sandbox(latency_ms=latency_ms, faults=[fault("frame", "disconnect", after=cut, count=1)])
        outcome = await everything_or_error(broken.gateway_port)
        if isinstance(outcome, GatewayUnavailable):
            errors.append(outcome)
        else:
            assert outcome == whole, f"cut at frame {cut}"
        assert not order_messages(broken.log)
    assert {error.code for error in errors} == {"GATEWAY_NOT_READY", "SNAPSHOT_INCOMPLETE"}
    named = [[part for part in PARTS if part in error.message] for error in errors]
    assert all(named)
    assert {part for (part,) in named} == set(PARTS)


async def everything_or_error(port: int) -> list[object] | GatewayUnavailable:
    try:
        async with asyncio.timeout(10), reading(port, answer_s=60, quotes_s=60) as market:
            return await read_everything(market)
    except GatewayUnavailable as error:
        return error
