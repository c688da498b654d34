"""Orders of several clients and of earlier connections: who is told, and what is served when it is asked for."""

import pytest
from tests.sandbox.dialogue import Dialogue
from tests.sandbox.ordering import MARKET, RESTING, play_with


def test_each_client_hears_of_its_own_orders_only() -> None:
    play = play_with()
    play(f"""
        >> {RESTING} orderId=12
        << ...
    """)
    play.turn(8)
    play(f"""
        >> {MARKET} orderId=12
        << openOrder orderId=12 clientId=8
        << orderStatus orderId=12 clientId=8
        ++ 5
        << execDetails clientId=8
        << ...
        >> reqOpenOrders
        << openOrderEnd
        >> reqAllOpenOrders
        << openOrder orderId=12 clientId=7 status=Submitted
        << orderStatus orderId=12 clientId=7
        << openOrderEnd
        >> cancelOrder orderId=99
        << error code=10147
    """)
    play.turn(7)
    play("")


def test_a_global_cancel_ends_the_orders_of_all_clients_and_tells_each() -> None:
    play = play_with()
    play(f"""
        >> {RESTING} orderId=12
        << ...
    """)
    play.turn(8)
    play(f"""
        >> {RESTING} orderId=30
        << ...
        >> reqGlobalCancel
        << orderStatus orderId=30 status=Cancelled
        << error id=30 code=202
    """)
    play.turn(7)
    play("""
        << orderStatus orderId=12 status=Cancelled
        << error id=12 code=202
    """)


def test_orders_outlive_their_connection_and_are_served_to_the_next() -> None:
    play = play_with(fills={"delay_ms": 100})
    play(f"""
        >> {MARKET} orderId=12 orderRef=rb1-filled-1
        << ...
        >> {RESTING} orderId=13 orderRef=rb1-cancelled-1
        << ...
        >> cancelOrder orderId=13
        << ...
        >> {RESTING} orderId=14 orderRef=rb1-open-1
        << ...
    """)
    play.hang_up()
    play.connect()
    play("""
        ++ 100
        >> startApi clientId=7
        << managedAccounts
        << nextValidId orderId=15
        << ...
        >> reqOpenOrders
        << openOrder orderId=14 clientId=7 permId=1100000003 orderRef=rb1-open-1 status=Submitted
        << orderStatus orderId=14 permId=1100000003 status=Submitted filled=0 remaining=20
        << openOrderEnd
        >> reqExecutions reqId=9 clientId=0
        << execDetails reqId=9 orderId=12 clientId=7 permId=1100000001 orderRef=rb1-filled-1 shares=20 \
            time="20261123 10:30:00 US/Eastern"
        << commissionReport commission=1
        << execDetailsEnd reqId=9
        >> reqCompletedOrders apiOnly=0
        << completedOrder permId=1100000001 orderRef=rb1-filled-1 status=Filled totalQuantity=0 filledQuantity=20 \
            completedStatus="Filled Size: 20" completedTime="20261123 10:30:00 US/Eastern"
        << completedOrder permId=1100000002 orderRef=rb1-cancelled-1 status=Cancelled totalQuantity=20 \
            filledQuantity=0 completedStatus="Cancelled by Trader"
        << completedOrdersEnd
    """)


FILTERS = [
    ("", 2),
    ("clientId=0", 2),
    ("clientId=7", 2),
    ("clientId=8", 0),
    ("account=DU1", 2),
    ("account=DU9", 0),
    ("symbol=BBB", 1),
    ("secType=STK", 2),
    ("secType=OPT", 0),
    ("exchange=ARCA", 2),
    ("exchange=NYSE", 0),
    ("side=BUY", 1),
    ("side=SLD", 1),
    ("time='20261123 10:29:00'", 2),
    ("time='20261123 10:31:00'", 1),
    ("time='20261123 15:31:00 UTC'", 1),
    ("time=20261123-15:31:00", 1),
    ("time='20261123 10:33:00 US/Eastern'", 0),
]


@pytest.mark.parametrize(("asked", "count"), FILTERS)
def test_executions_are_filtered(asked: str, count: int) -> None:
    play = play_with()
    play(f"""
        >> {MARKET} orderId=12
        << ...
        ++ 5
        << ...
        ++ 120000
        >> {MARKET} orderId=13 conId=102 action=SELL
        << ...
        ++ 5
        << ...
    """)
    play.send_line(f"reqExecutions reqId=9 {asked}")
    assert play.drain() == ["execDetails"] * count + ["commissionReport"] * count + ["execDetailsEnd"]


@pytest.mark.parametrize("time", ["yesterday", "20261123 10:30:00 Mars", "20261123"])
def test_a_time_that_is_none_filters_nothing(time: str) -> None:
    Dialogue()(f"""
        >> reqExecutions reqId=9 time="{time}"
        << error id=9 code=321
    """)


def test_an_account_that_lags_shows_a_fill_only_later() -> None:
    play_with(faults=[{"when": "order", "what": {"lag": {"ms": 500}}}])(f"""
        >> {MARKET} orderId=12
        << ...
        ++ 5
        << execDetails
        << ...
        >> reqPositions
        << position symbol=AAA position=100
        << positionEnd
        ++ 500
        << position symbol=AAA position=120
    """)


def test_a_commission_that_is_late_is_in_no_list_before() -> None:
    play_with(faults=[{"when": "order", "what": {"commission_late": {"ms": 500}}}])(f"""
        >> {MARKET} orderId=12
        << ...
        ++ 5
        << execDetails
        << openOrder status=Filled
        << orderStatus status=Filled
        >> reqExecutions reqId=9
        << execDetails reqId=9
        << execDetailsEnd
        ++ 500
        << openOrder status=Filled commission=1
        << commissionReport commission=1
        >> reqExecutions reqId=10
        << execDetails reqId=10
        << commissionReport
        << execDetailsEnd
    """)
