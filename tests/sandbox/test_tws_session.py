"""Handshake, start-up, refusals and order messages, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sandbox.dialogue import NOW, Dialogue
from tests.support.sandbox import scenario_with

from ibkr_rebalancer.sandbox.tws.messages import FROM_CLIENT
from ibkr_rebalancer.sandbox.tws.session import Close, Happened, Output, Send, Session
from ibkr_rebalancer.sandbox.tws.trading import READ_ONLY
from ibkr_rebalancer.sandbox.tws.wire import Layout, frame, join_fields
from ibkr_rebalancer.sandbox.venue.venue import Venue


def shake_hands(greeting: bytes) -> list[Output]:
    return Session(Venue(scenario_with()), set()).receive(greeting, NOW)


def sent(outputs: list[Output]) -> list[list[str]]:
    return [output.message.fields for output in outputs if isinstance(output, Send)]


@pytest.mark.parametrize("offer", [b"v157..178", b"v100..226", b"v100..178", b"v157..178 +PACEAPI"])
def test_the_handshake_answers_version_178_and_the_time(offer: bytes) -> None:
    assert sent(shake_hands(b"API\0" + frame(offer))) == [["178", "20261123 15:30:00 Greenwich Mean Time"]]


@pytest.mark.parametrize("offer", [b"v100..177", b"v1..x", b"", b"\xff"])
def test_an_older_client_is_refused(offer: bytes) -> None:
    *_, happened, closed = shake_hands(b"API\0" + frame(offer))
    assert isinstance(happened, Happened)
    assert happened.event == "client_refused"
    assert closed == Close()


def test_another_protocol_is_refused() -> None:
    assert shake_hands(b"GET / HTTP/1.1\r\n")[-1] == Close()


def test_start_up() -> None:
    play = Dialogue(accounts={"DU2": {}})
    play.connect()
    play("""
        >> startApi clientId=8
        << managedAccounts accounts=DU1,DU2
        << nextValidId orderId=1
        << error id=-1 code=2104
        << error id=-1 code=2106
        << error id=-1 code=2158
    """)


def test_a_client_id_in_use_is_refused_until_its_holder_is_gone() -> None:
    play = Dialogue()
    first = play.session
    play.connect()
    play("""
        >> startApi clientId=7
        << error id=-1 code=326
        << closed
    """)
    play.session.closed()
    first.closed()
    play.connect()
    play("""
        >> startApi clientId=7
        << managedAccounts
        << ...
    """)


def test_nothing_is_answered_before_the_start() -> None:
    play = Dialogue()
    play.connect()
    play("""
        >> reqPositions
        << closed
    """)


@pytest.mark.parametrize(
    "fields",
    [
        ["61"],
        ["61", "1", "more"],
        ["71", "2", "seven", ""],
        ["94", "3", "DU1", "", "x"],
        ["9", "8", "1", "0", "AAA", "OPT", "", "high", *[""] * 11],
        ["1234", "1"],
        ["²", "1"],
        [],
    ],
)
def test_what_is_no_request_is_error_320_and_the_session_goes_on(fields: list[str]) -> None:
    play = Dialogue()
    play.send_fields(fields)
    play("""
        << error id=-1 code=320
        >> reqCurrentTime
        << currentTime
    """)


PLACED = ["3", "12", "101", *["" for _ in range(111)]]


@pytest.mark.parametrize(
    ("fields", "name", "about"),
    [
        (PLACED, "placeOrder", "12"),
        (["4", "1", "12", ""], "cancelOrder", "12"),
        (["58", "1"], "reqGlobalCancel", "-1"),
    ],
)
def test_a_read_only_gateway_takes_no_order_message(fields: list[str], name: str, about: str) -> None:
    play = Dialogue(read_only=True)
    play.send_fields(fields)
    play(f'<< error id={about} code=321 text="{READ_ONLY}"')
    assert "Read-Only" in READ_ONLY
    assert play.traded == []
    assert play.events == [Happened(event="order_message", details={"message": name, "fields": fields})]


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        (["3"], "-1"),
        (PLACED[:-1], "12"),
        ([*PLACED, ""], "12"),
        (["3", "twelve", *PLACED[2:]], "-1"),
        (["4", "1", "12"], "12"),
        (["58", "1", "7"], "-1"),
    ],
)
def test_an_order_message_that_is_none_is_error_320_and_an_event(fields: list[str], about: str) -> None:
    play = Dialogue()
    play.send_fields(fields)
    play(f"<< error id={about} code=320")
    assert play.traded == []
    assert [event.event for event in play.events] == ["order_message"]


def test_two_requests_in_one_piece_are_answered_in_order() -> None:
    play = Dialogue()
    both = frame(join_fields(["49", "1"])) + frame(join_fields(["5", "1"]))
    outputs = play.session.receive(both, NOW)
    assert [fields[0] for fields in sent(outputs)] == ["49", "53"]


def test_a_notice_goes_to_clients_that_have_started() -> None:
    play = Dialogue()
    assert sent(play.session.notice(1100)) == [
        ["4", "2", "-1", "1100", "Connectivity between IBKR and Trader Workstation has been lost.", ""]
    ]
    play.connect()
    assert play.session.notice(1100) == []


FIELDS = st.sampled_from(
    ["", "0", "1", "101", "DU1", "AAA", "SMART", "1 day", "5 D", "-1", "1e999", "nan", "x", "é²", "9" * 40]
)


@given(data=st.data(), layout=st.sampled_from([one for one in FROM_CLIENT.values() if one.name != "placeOrder"]))
def test_no_request_whatever_its_fields_breaks_the_session(data: st.DataObject, layout: Layout) -> None:
    play = Dialogue()
    fields = [data.draw(FIELDS) for _ in layout.names]
    play.send_fields([*layout.head, *fields])
    play("<< ...")
    if not play.over:
        play("""
            >> reqCurrentTime
            << currentTime
        """)
