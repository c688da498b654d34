"""What each request is answered with, as dialogues."""

import pytest
from tests.sandbox.dialogue import Dialogue

OTHER_HOLDINGS = {
    "accounts": {"DU1": {"positions": {"AAA": {"quantity": 100, "average_cost": "90"}, "CCC": -5}}, "DU2": {"cash": 5}}
}


def test_positions_of_all_accounts_then_what_changes() -> None:
    play = Dialogue(**OTHER_HOLDINGS)
    play("""
        >> reqPositions
        << position account=DU1 conId=101 symbol=AAA secType=STK exchange=ARCA currency=USD position=100 avgCost=90
        << position account=DU1 symbol=CCC position=-5 avgCost=20
        << positionEnd
    """)
    play.change({"accounts": {"DU1": {"positions": {"AAA": {"quantity": 0}}}, "DU2": {"positions": {"BBB": 7}}}})
    play("""
        << position account=DU1 symbol=AAA position=0
        << position account=DU2 symbol=BBB position=7
        >> cancelPositions
    """)
    play.change({"accounts": {"DU2": {"positions": {"BBB": 8}}}})
    play("")


def test_a_position_closed_before_is_not_listed() -> None:
    Dialogue(accounts={"DU1": {"positions": {"AAA": 0}}})("""
        >> reqPositions
        << positionEnd
    """)


def test_positions_of_one_account() -> None:
    play = Dialogue(**OTHER_HOLDINGS)
    play("""
        >> reqPositionsMulti reqId=3 account=DU1
        << positionMulti reqId=3 account=DU1 symbol=AAA position=100 modelCode=
        << positionMulti reqId=3 account=DU1 symbol=CCC position=-5
        << positionMultiEnd reqId=3
    """)
    play.change({"accounts": {"DU1": {"positions": {"CCC": {"quantity": -6}}}}})
    play("""
        << positionMulti reqId=3 symbol=CCC position=-6
        >> cancelPositionsMulti reqId=3
    """)


def test_account_updates_are_values_portfolio_time_end_then_what_changes() -> None:
    play = Dialogue(accounts={"DU1": {"positions": {"AAA": {"quantity": 100, "average_cost": "90"}}}})
    play("""
        >> reqAccountUpdates subscribe=1 account=DU1
        << updateAccountValue key=AccountCode value=DU1 currency= account=DU1
        << updateAccountValue key=AccountReady value=true
        << updateAccountValue key=AccountType value=INDIVIDUAL
        << updateAccountValue key=Cushion value=0.875000
        << updateAccountValue key=NetLiquidation value=20000.00 currency=USD
        << updateAccountValue key=TotalCashValue value=10000.00
        << updateAccountValue key=SettledCash value=10000.00
        << updateAccountValue key=EquityWithLoanValue value=20000.00
        << updateAccountValue key=GrossPositionValue value=10000.00
        << updateAccountValue key=InitMarginReq value=2500.00
        << updateAccountValue key=MaintMarginReq value=2500.00
        << updateAccountValue key=AvailableFunds value=17500.00
        << updateAccountValue key=ExcessLiquidity value=17500.00
        << updateAccountValue key=BuyingPower value=70000.00
        << updateAccountValue key=CashBalance value=10000.00 currency=USD
        << updateAccountValue key=TotalCashBalance value=10000.00
        << updateAccountValue key=StockMarketValue value=10000.00
        << updateAccountValue key=OptionMarketValue value=0.00
        << updateAccountValue key=FuturesPNL value=0.00
        << updateAccountValue key=NetLiquidationByCurrency value=20000.00
        << updateAccountValue key=UnrealizedPnL value=1000.00
        << updateAccountValue key=RealizedPnL value=0.00
        << updateAccountValue key=ExchangeRate value=1.000000 currency=USD
        << updateAccountValue key=CashBalance value=10000.00 currency=BASE
        << updateAccountValue key=TotalCashBalance value=10000.00
        << updateAccountValue key=StockMarketValue value=10000.00
        << updateAccountValue key=OptionMarketValue value=0.00
        << updateAccountValue key=FuturesPNL value=0.00
        << updateAccountValue key=NetLiquidationByCurrency value=20000.00
        << updateAccountValue key=UnrealizedPnL value=1000.00
        << updateAccountValue key=RealizedPnL value=0.00
        << updateAccountValue key=ExchangeRate value=1.000000 currency=BASE
        << updatePortfolio conId=101 symbol=AAA primaryExchange=ARCA position=100 marketPrice=100 marketValue=10000
        << updateAccountTime time=15:30
        << accountDownloadEnd account=DU1
    """)
    play.change({"accounts": {"DU1": {"values": {"SettledCash": "1.00"}}}})
    play("""
        << updateAccountValue key=SettledCash value=1.00
        >> reqAccountUpdates subscribe=0 account=DU1
    """)
    play.change({"accounts": {"DU1": {"values": {"SettledCash": "2.00"}}}})
    play("")


@pytest.mark.parametrize(
    "request_line",
    ["reqAccountUpdates subscribe=1", "reqAccountUpdatesMulti reqId=4", "reqPositionsMulti reqId=4", "reqPnL reqId=4"],
)
def test_an_unknown_account_is_an_invalid_request(request_line: str) -> None:
    number = "4" if "reqId" in request_line else "-1"
    Dialogue()(f"""
        >> {request_line} account=DU9
        << error id={number} code=321 text="Error validating request.-'bP' : cause - Invalid account code 'DU9'."
    """)


def test_account_updates_multi_may_be_ledger_and_net_liquidation_alone() -> None:
    play = Dialogue()
    play("""
        >> reqAccountUpdatesMulti reqId=5 account=DU1 ledgerAndNLV=1
        << accountUpdateMulti reqId=5 account=DU1 modelCode= key=NetLiquidation value=20000.00 currency=USD
        << accountUpdateMulti key=CashBalance value=10000.00 currency=USD
        << ...
        >> cancelAccountUpdatesMulti reqId=5
    """)
    play.change({"accounts": {"DU1": {"cash": 1}}})
    play("")


def test_summary_takes_tags_of_all_accounts_and_at_most_two_subscriptions() -> None:
    play = Dialogue(accounts={"DU2": {"cash": "5"}})
    play("""
        >> reqAccountSummary reqId=6 group=All tags=NetLiquidation,AccountType
        << accountSummary reqId=6 account=DU1 tag=AccountType value=INDIVIDUAL currency=
        << accountSummary reqId=6 account=DU1 tag=NetLiquidation value=20000.00 currency=USD
        << accountSummary reqId=6 account=DU2 tag=AccountType value=INDIVIDUAL
        << accountSummary reqId=6 account=DU2 tag=NetLiquidation value=5.00
        << accountSummaryEnd reqId=6
        >> reqAccountSummary reqId=7 group=All tags=SettledCash
        << ...
        >> reqAccountSummary reqId=8 group=All tags=SettledCash
        << error id=8 code=322
        >> cancelAccountSummary reqId=7
        >> reqAccountSummary reqId=8 group=All tags=SettledCash
        << ...
    """)


@pytest.mark.parametrize(
    ("tag", "currencies"),
    [("$LEDGER", {"BASE"}), ("$LEDGER:EUR", {"EUR"}), ("$LEDGER:ALL", {"USD", "EUR", "BASE"})],
)
def test_summary_of_the_ledger_by_currency(tag: str, currencies: set[str]) -> None:
    play = Dialogue(accounts={"DU1": {"cash": {"EUR": "100"}}}, rates={"EURUSD": "1.08"})
    told = play.ask("reqAccountSummary", reqId="1", group="All", tags=tag)
    assert {message["currency"] for message in told[:-1]} == currencies
    rates = {message["currency"]: message["value"] for message in told[:-1] if message["tag"] == "ExchangeRate"}
    assert rates == {key: {"EUR": "1.080000"}.get(key, "1.000000") for key in currencies}


@pytest.mark.parametrize(
    "wanted",
    [
        "symbol=AAA secType=STK exchange=SMART currency=USD",
        "symbol=AAA secType=STK exchange=SMART currency=USD primaryExchange=ARCA",
        "conId=101 exchange=SMART",
        "conId=101",
        "symbol=AAA strike=0.0 conId=0",
    ],
)
def test_contract_details(wanted: str) -> None:
    Dialogue(market={"AAA": {"isin": "US0000000001"}})(f"""
        >> reqContractDetails reqId=2 {wanted}
        << contractDetails reqId=2 symbol=AAA conId=101 exchange=SMART longName=ALPHA minTick=0.01 timeZoneId=US/Eastern
        << contractDetailsEnd reqId=2
    """)


@pytest.mark.parametrize(
    "wanted",
    [
        "symbol=NOPE",
        "symbol=AAA currency=EUR",
        "symbol=AAA primaryExchange=NASDAQ",
        "symbol=AAA secType=OPT",
        "conId=9",
    ],
)
def test_an_unknown_contract_is_error_200(wanted: str) -> None:
    Dialogue()(f"""
        >> reqContractDetails reqId=2 {wanted}
        << error id=2 code=200 text="No security definition has been found for the request"
    """)


OPTIONS = {
    f"AAA {right}{strike}": {
        "symbol": "AAA",
        "sec_type": "OPT",
        "strike": strike,
        "right": right,
        "last_trade_date": "20261218",
        "multiplier": 100,
    }
    for right in "CP"
    for strike in ("110", "110.5")
}


@pytest.mark.parametrize("strike", ["110", "110.0", "110.50"])
def test_an_option_is_told_from_its_neighbours(strike: str) -> None:
    Dialogue(market=OPTIONS)(f"""
        >> reqContractDetails reqId=2 symbol=AAA secType=OPT strike={strike} right=C lastTradeDate=20261218
        << contractDetails symbol=AAA secType=OPT strike={float(strike):g} right=C multiplier=100 contractMonth=202612
        << contractDetailsEnd reqId=2
    """)


def test_a_currency_trades_on_its_own_exchange_only() -> None:
    Dialogue(market={"EUR": {"sec_type": "CASH", "con_id": 12087792}})("""
        >> reqContractDetails reqId=2 symbol=EUR secType=CASH exchange=IDEALPRO
        << contractDetails conId=12087792 exchange=IDEALPRO validExchanges=IDEALPRO stockType=
        << contractDetailsEnd
        >> reqContractDetails reqId=3 symbol=EUR secType=CASH exchange=SMART
        << error id=3 code=200
    """)


AMBIGUOUS = {"AAA": [{"con_id": 101, "primary_exchange": "ARCA"}, {"con_id": 201, "primary_exchange": "LSE"}]}


def test_an_ambiguous_contract_has_several_details_and_no_quote() -> None:
    Dialogue(market=AMBIGUOUS, accounts={"DU1": {"positions": None}})("""
        >> reqContractDetails reqId=2 symbol=AAA
        << contractDetails conId=101
        << contractDetails conId=201
        << contractDetailsEnd reqId=2
        >> reqContractDetails reqId=2 symbol=AAA primaryExchange=LSE
        << contractDetails conId=201
        << contractDetailsEnd reqId=2
        >> reqMktData reqId=3 symbol=AAA snapshot=1
        << error id=3 code=200 text="The contract description specified for AAA is ambiguous."
    """)


def test_a_snapshot() -> None:
    Dialogue()("""
        >> reqMktData reqId=3 conId=101 exchange=SMART snapshot=1
        << marketDataType reqId=3 type=1
        << tickReqParams reqId=3 minTick=0.01
        << tickPrice reqId=3 tickType=1 price=99.99 size=100 attribs=1
        << tickPrice tickType=2 price=100.01
        << tickPrice tickType=4 price=100
        << tickPrice tickType=9 price=99 size=0
        << tickSize tickType=8 size=1000000
        << tickGeneric tickType=49 value=0
        << tickString tickType=45 value=1795447800
        << tickSnapshotEnd reqId=3
    """)


def test_a_missing_bid_or_ask_is_sent_as_minus_one_and_a_missing_last_or_close_not_at_all() -> None:
    Dialogue(market={"AAA": {"bid": None, "ask": None, "last": None, "close": None, "halted": True}})("""
        >> reqMktData reqId=3 conId=101 snapshot=1
        << marketDataType type=1
        << tickReqParams reqId=3
        << tickPrice tickType=1 price=-1 size=0
        << tickPrice tickType=2 price=-1 size=0
        << tickSize tickType=8 size=1000000
        << tickGeneric tickType=49 value=1
        << tickString tickType=45
        << tickSnapshotEnd reqId=3
    """)


def test_delayed_data_needs_to_be_asked_for() -> None:
    Dialogue(market={"AAA": {"data": "delayed"}})("""
        >> reqMktData reqId=3 conId=101 snapshot=1
        << error id=3 code=10168
        >> reqMarketDataType type=3
        >> reqMktData reqId=4 conId=101 snapshot=1
        << error id=4 code=10167
        << marketDataType reqId=4 type=3
        << tickReqParams reqId=4
        << tickPrice tickType=66 price=99.99
        << tickPrice tickType=67 price=100.01
        << tickPrice tickType=68 price=100
        << tickPrice tickType=75 price=99
        << tickSize tickType=74 size=1000000
        << tickGeneric tickType=90 value=0
        << tickString tickType=88
        << tickSnapshotEnd reqId=4
        >> reqMktData reqId=5 conId=102 snapshot=1
        << marketDataType reqId=5 type=1
        << ...
    """)


def test_frozen_data_shows_its_prices_to_those_who_ask() -> None:
    Dialogue(market={"AAA": {"data": "frozen"}})("""
        >> reqMktData reqId=3 conId=101 snapshot=1
        << marketDataType type=1
        << tickReqParams reqId=3
        << tickPrice tickType=1 price=-1
        << tickPrice tickType=2 price=-1
        << tickPrice tickType=4 price=100
        << ...
        >> reqMarketDataType type=2
        >> reqMktData reqId=4 conId=101 snapshot=1
        << marketDataType reqId=4 type=2
        << tickReqParams reqId=4
        << tickPrice tickType=1 price=99.99
        << ...
    """)


def test_live_data_of_a_closed_market_is_frozen() -> None:
    """As real gateways have it: the last bid and ask to those who ask for frozen data, none to the others."""
    play = Dialogue(market={"AAA": {"hours": "09:30-10:00 US/Eastern"}})
    for asked, shown, bid in (("1", "1", "-1"), ("2", "2", "99.99"), ("3", "1", "-1"), ("4", "2", "99.99")):
        play(f"""
            >> reqMarketDataType type={asked}
            >> reqMktData reqId=3 conId=101 snapshot=1
            << marketDataType reqId=3 type={shown}
            << tickReqParams reqId=3
            << tickPrice tickType=1 price={bid}
            << tickPrice tickType=2
            << tickPrice tickType=4 price=100
            << ...
        """)


def test_a_stream_loses_its_bid_and_ask_when_the_market_closes() -> None:
    play = Dialogue()
    play("""
        >> reqMktData reqId=3 conId=101 snapshot=0
        << marketDataType type=1
        << ...
    """)
    play.change({"market": {"AAA": {"hours": "closed"}}})
    play("""
        << tickPrice reqId=3 tickType=1 price=-1
        << tickPrice reqId=3 tickType=2 price=-1
    """)


@pytest.mark.parametrize("asked", "1234")
def test_without_a_subscription_there_is_no_data_of_any_type(asked: str) -> None:
    Dialogue(market={"AAA": {"data": "none"}})(f"""
        >> reqMarketDataType type={asked}
        >> reqMktData reqId=3 conId=101 snapshot=1
        << error id=3 code=354
    """)


def test_a_stream_tells_the_prices_that_change_until_it_is_cancelled() -> None:
    play = Dialogue()
    play("""
        >> reqMktData reqId=3 conId=101 snapshot=0
        << marketDataType type=1
        << ...
    """)
    play.change({"market": {"AAA": {"bid": "98.50"}, "BBB": {"bid": "1"}}})
    play("<< tickPrice reqId=3 tickType=1 price=98.5")
    play.change({"market": {"AAA": {"data": "none", "bid": "97"}}})
    play.change({"market": {"AAA": {"data": "live"}}})
    play("""
        << tickPrice reqId=3 tickType=1 price=97
        << ...
        >> cancelMktData reqId=3
    """)
    play.change({"market": {"AAA": {"bid": "98.00"}}})
    play("")


def test_daily_bars_end_at_the_close_and_todays_price() -> None:
    play = Dialogue()
    (message,) = play.ask("reqHistoricalData", reqId="3", conId="101", barSize="1 day", duration="5 D")
    bars = message.values["bars"]
    assert not isinstance(bars, str)
    assert [bar["date"] for bar in bars] == ["20261117", "20261118", "20261119", "20261120", "20261123"]
    assert [bar["close"] for bar in bars[-2:]] == ["99", "100"]
    assert all(float(bar["low"]) <= float(bar["open"]) <= float(bar["high"]) for bar in bars)
    assert [(bar["open"]) for bar in bars[1:]] == [bar["close"] for bar in bars[:-1]]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("conId=103 barSize='1 day' duration='1 W'", 162),
        ("conId=101 barSize='5 mins' duration='1 D'", 321),
        ("conId=101 barSize='1 day' duration='60 S'", 321),
        ("conId=101 barSize='1 day' duration='D'", 321),
        ("conId=101 barSize='1 day' duration='0 D'", 321),
        ("conId=101 barSize='1 day' duration='11 Y'", 321),
        ("conId=999 barSize='1 day' duration='1 D'", 200),
    ],
)
def test_other_bars_are_refused(asked: str, code: int) -> None:
    Dialogue(market={"CCC": {"close": None}})(f"""
        >> reqHistoricalData reqId=3 {asked}
        << error id=3 code={code}
    """)


def test_profit_of_the_account_and_of_one_position() -> None:
    play = Dialogue(accounts={"DU1": {"positions": {"AAA": {"quantity": 100, "average_cost": "90"}}}})
    play("""
        >> reqPnL reqId=3 account=DU1
        << pnl reqId=3 daily=100 unrealized=1000 realized=0
        >> reqPnLSingle reqId=4 account=DU1 conId=101
        << pnlSingle reqId=4 position=100 daily=100 unrealized=1000 realized=0 value=10000
        >> reqPnLSingle reqId=5 account=DU1 conId=102
        << error id=5 code=321
    """)
    play.change({"market": {"AAA": {"last": "99.99"}}})
    play("""
        << pnl reqId=3 daily=99 unrealized=999
        << pnlSingle reqId=4 daily=99 value=9999
        >> cancelPnL reqId=3
        >> cancelPnLSingle reqId=4
    """)


def test_what_is_always_the_same() -> None:
    Dialogue(accounts={"DU2": {}})("""
        >> reqCurrentTime
        << currentTime time=1795447800
        >> reqManagedAccts
        << managedAccounts accounts=DU1,DU2
        >> reqIds count=1
        << nextValidId orderId=1
        >> reqAutoOpenOrders bind=1
        >> reqOpenOrders
        << openOrderEnd
        >> reqAllOpenOrders
        << openOrderEnd
        >> reqCompletedOrders apiOnly=0
        << completedOrdersEnd
        >> reqExecutions reqId=9 clientId=0
        << execDetailsEnd reqId=9
        >> cancelHistoricalData reqId=1
        >> cancelMktData reqId=99
    """)


def test_an_account_or_contract_taken_away_ends_what_followed_it() -> None:
    play = Dialogue(accounts={"DU2": {"cash": 5}})
    play("""
        >> reqPnL reqId=3 account=DU2
        << ...
        >> reqMktData reqId=4 conId=102
        << ...
    """)
    play.change({"accounts": {"DU2": None}, "market": {"BBB": None}})
    play("")
