"""Each fault of the reading half, where it strikes, how often, and what it leaves alone."""

import pytest
from tests.sandbox.dialogue import Dialogue
from tests.support.sandbox import fault, scenario_with

from ibkr_rebalancer.sandbox.tws.messages import TO_CLIENT
from ibkr_rebalancer.sandbox.tws.session import HUGE_LENGTH, check_faults
from ibkr_rebalancer.sandbox.venue.document import Document, ScenarioError

ENDS = {
    "contractDetailsEnd": "reqContractDetails reqId=1 conId=101",
    "accountDownloadEnd": "reqAccountUpdates subscribe=1 account=DU1",
    "tickSnapshotEnd": "reqMktData reqId=1 conId=101 snapshot=1",
    "positionEnd": "reqPositions",
    "accountSummaryEnd": "reqAccountSummary reqId=1 group=All tags=SettledCash",
    "accountUpdateMultiEnd": "reqAccountUpdatesMulti reqId=1 account=DU1",
    "openOrderEnd": "reqOpenOrders",
    "execDetailsEnd": "reqExecutions reqId=1",
    "completedOrdersEnd": "reqCompletedOrders apiOnly=0",
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_can_be_lost(end: str) -> None:
    """The rows arrive, the end doesn't: once, and the next request is whole again."""
    play = Dialogue(faults=[fault(end, "drop", count=1)])
    lost = _answers(play, ENDS[end])
    assert end not in lost
    assert _answers(play, ENDS[end])[-1] == end
    assert [event.details for event in play.events] == [{"message": end, "action": "drop"}]


def _answers(play: Dialogue, line: str) -> list[str]:
    play.send_line(line)
    return play.drain()


@pytest.mark.parametrize("code", [162, 200, 321, 354, 10168, 10197])
def test_a_request_can_be_answered_with_an_error(code: int) -> None:
    faults = [fault("reqMktData", "error", parameters={"code": code}, where={"conId": 101}, count=1)]
    Dialogue(faults=faults)(f"""
        >> reqMktData reqId=1 conId=102 snapshot=1
        << marketDataType
        << ...
        >> reqMktData reqId=2 conId=101 snapshot=1
        << error id=2 code={code}
        >> reqMktData reqId=3 conId=101 snapshot=1
        << marketDataType
        << ...
    """)


def test_an_error_may_say_something_else() -> None:
    faults = [fault("reqPositions", "error", parameters={"code": 321, "text": "no"})]
    Dialogue(faults=faults)("""
        >> reqPositions
        << error id=-1 code=321 text=no
    """)


def test_a_notice_comes_before_the_message_and_stops_nothing() -> None:
    Dialogue(faults=[fault("positionEnd", "notice", parameters={"code": 1100})])("""
        >> reqPositions
        << position
        << error id=-1 code=1100
        << positionEnd
    """)


def test_a_request_can_be_lost() -> None:
    Dialogue(faults=[fault("reqCompletedOrders", "drop")])("""
        >> reqCompletedOrders apiOnly=0
        >> reqOpenOrders
        << openOrderEnd
    """)


def test_a_lost_request_is_followed_by_nobody() -> None:
    play = Dialogue(faults=[fault("reqPositions", "drop")])
    play(">> reqPositions")
    play.change({"accounts": {"DU1": {"positions": {"BBB": 1}}}})
    play("")


def test_from_a_mute_on_the_connection_is_silent_and_open() -> None:
    play = Dialogue(faults=[fault("positionEnd", "mute", count=1)])
    play("""
        >> reqPositions
        << position
        >> reqCurrentTime
        >> reqPositions
    """)
    play.connect()
    play("""
        >> startApi clientId=8
        << managedAccounts
        << ...
        >> reqPositions
        << position
        << positionEnd
    """)


def test_all_answers_to_a_request_or_one_message_can_be_delayed() -> None:
    play = Dialogue(
        faults=[
            fault("reqPositions", "delay", parameters={"ms": 500}),
            fault("openOrderEnd", "delay", parameters={"ms": 9}),
        ]
    )
    play("""
        >> reqPositions
        << position
        << positionEnd
        >> reqOpenOrders
        << openOrderEnd
        >> reqCurrentTime
        << currentTime
    """)
    assert [play.delays[name] for name in ("position", "positionEnd", "openOrderEnd", "currentTime")] == [
        500,
        500,
        9,
        0,
    ]


def test_messages_and_answers_can_come_twice() -> None:
    Dialogue(faults=[fault("position", "duplicate"), fault("reqOpenOrders", "duplicate")])("""
        >> reqPositions
        << position
        << position
        << positionEnd
        >> reqOpenOrders
        << openOrderEnd
        << openOrderEnd
    """)


def test_fields_can_say_something_else() -> None:
    """As a gateway does in the middle of its reset: the account isn't ready and its values mean nothing."""
    not_ready = fault("updateAccountValue", "alter", parameters={"value": "false"}, where={"key": "AccountReady"})
    Dialogue(faults=[not_ready])("""
        >> reqAccountUpdates subscribe=1 account=DU1
        << updateAccountValue key=AccountCode value=DU1
        << updateAccountValue key=AccountReady value=false
        << updateAccountValue key=AccountType value=INDIVIDUAL
        << ...
    """)


def test_faults_of_one_message_strike_in_their_order() -> None:
    faults = [
        fault("position", "notice", parameters={"code": 2103}),
        fault("position", "alter", parameters={"position": "7"}),
        fault("position", "delay", parameters={"ms": 30}),
    ]
    play = Dialogue(faults=faults)
    play("""
        >> reqPositions
        << error code=2103
        << position position=7
        << positionEnd
    """)
    assert play.delays["position"] == 30
    assert [event.details["action"] for event in play.events] == ["notice", "alter", "delay"]


@pytest.mark.parametrize(("parameters", "bytes_sent"), [({}, HUGE_LENGTH), ({"hex": "00 01 FF"}, "0001ff")])
def test_garbage(parameters: Document, bytes_sent: str) -> None:
    Dialogue(faults=[fault("positionEnd", "garbage", parameters=parameters)])(f"""
        >> reqPositions
        << position
        << {bytes_sent}
    """)


@pytest.mark.parametrize("at", range(9))
def test_the_connection_can_be_cut_at_any_frame(at: int) -> None:
    """Counted from the handshake: 1 + 5 frames start the client, then come the answers."""
    play = Dialogue.unconnected(faults=[fault("frame", "disconnect", after=at, count=1)])
    play.open()
    for line in ("startApi clientId=7", "reqPositions", "reqCurrentTime"):
        play.send_line(line)
    assert play.drain()[-1] == "closed"
    assert play.frames == at


def test_a_port_can_accept_and_say_nothing() -> None:
    play = Dialogue.unconnected(faults=[fault("connect", "mute")])
    play.open()
    play.send_line("startApi clientId=7")
    assert play.drain() == []


def test_a_port_can_accept_and_close() -> None:
    play = Dialogue.unconnected(faults=[fault("connect", "disconnect")])
    play.open()
    assert play.drain() == ["closed"]


def test_accounts_can_be_missing_from_the_start() -> None:
    play = Dialogue.unconnected(faults=[fault("managedAccounts", "drop")])
    play.open()
    play("""
        << handshake serverVersion=178
        >> startApi clientId=7
        << nextValidId
        << ...
    """)


def test_a_client_id_can_be_said_to_be_in_use() -> None:
    faults = [fault("startApi", "error", parameters={"code": 326}, where={"clientId": 7}, count=2)]
    play = Dialogue.unconnected(faults=faults)
    for _ in range(2):
        play.open()
        play("""
            << handshake
            >> startApi clientId=7
            << error id=-1 code=326
            << closed
        """)
    play.open()
    play("""
        << handshake
        >> startApi clientId=7
        << managedAccounts
        << ...
    """)


def test_a_fault_lets_some_pass_strikes_some_and_may_be_for_one_client() -> None:
    play = Dialogue(faults=[fault("reqCurrentTime", "drop", after=1, count=2, client=7)])
    play("""
        >> reqCurrentTime
        << currentTime
        >> reqCurrentTime
        >> reqCurrentTime
        >> reqCurrentTime
        << currentTime
    """)
    play = Dialogue(faults=[fault("reqCurrentTime", "drop", client=8)])
    play("""
        >> reqCurrentTime
        << currentTime
    """)


def test_counts_are_kept_until_the_faults_are_others() -> None:
    faults = [fault("reqCurrentTime", "drop", count=1)]
    play = Dialogue(faults=faults)
    play(">> reqCurrentTime")
    play.change({"faults": faults, "market": {"AAA": {"bid": "1"}}})
    play("""
        >> reqCurrentTime
        << currentTime
    """)
    play.change({"faults": [*faults, fault("reqPositions", "drop")]})
    play(">> reqCurrentTime")


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (fault("reqPosition", "drop"), "there is no message 'reqPosition'"),
        (fault("placeOrders", "drop"), "there is no message 'placeOrders'"),
        (fault("placeOrder", "precede", parameters={"tif": "GTC"}), "placeOrder can't be altered"),
        (fault("openOrder", "precede", parameters={"margin": "1"}), "openOrder has no field 'margin'"),
        (fault("positionEnd", "drop", where={"account": "DU1"}), "positionEnd has no field 'account'"),
        (fault("position", "alter", parameters={"positoin": "1"}), "position has no field 'positoin'"),
        (fault("reqPositions", "alter", parameters={"x": "1"}), "reqPositions can't be altered"),
        (fault("frame", "alter", parameters={"x": "1"}), "frame can't be altered"),
    ],
)
def test_a_fault_that_could_never_strike_is_refused(record: Document, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        check_faults(scenario_with(faults=[record]).faults)


def test_every_message_to_clients_can_be_met() -> None:
    check_faults(scenario_with(faults=[fault(name, "drop") for name in TO_CLIENT]).faults)
