"""One connection without a socket: what is answered to what, and what faults make of it."""

from datetime import datetime
from typing import Any

import pytest
from tests.sandbox.test_ably_channels import NOW, later

from ibkr_rebalancer.sandbox.ably.app import App
from ibkr_rebalancer.sandbox.ably.messages import read_drafts
from ibkr_rebalancer.sandbox.ably.protocol import Action, Flag, Frame, name_of
from ibkr_rebalancer.sandbox.ably.session import Close, Note, Output, Published, Send, SendBytes, Session
from ibkr_rebalancer.sandbox.venue.channels import Realtime
from ibkr_rebalancer.sandbox.venue.faults import RealtimeFault

A = "a"


class Dialogue:
    """An app and one client of it."""

    def __init__(
        self, *faults: RealtimeFault, operations: tuple[str, ...] = ("subscribe", "history", "publish")
    ) -> None:
        self.app = App(Realtime(channels=(A,), operations=operations), faults)
        self.session = Session(self.app, binary=False)

    def open(self, now: datetime = NOW, **query: str) -> list[Output]:
        """Begin anew, with another socket."""
        self.session = Session(self.app, binary=False)
        return self.session.open({"key": self.app.watcher_key, **query}, now)

    def say(self, action: int, now: datetime = NOW, **fields: Any) -> list[Output]:
        return self.session.receive({"action": action, **fields}, now)

    def attach(self, **fields: Any) -> list[Output]:
        return self.say(Action.ATTACH, channel=A, **fields)

    def publish(self, data: str, now: datetime = NOW, **more: Any) -> list[Output]:
        batch = self.app.publish(A, read_drafts({"data": data, **more}), now)
        assert batch is not None
        return self.session.deliver(batch)


def frames(outputs: list[Output]) -> list[Frame]:
    return [output.frame for output in outputs if isinstance(output, Send)]


def names(outputs: list[Output]) -> list[str]:
    return [name_of(frame) for frame in frames(outputs)]


def datas(outputs: list[Output]) -> list[object]:
    return [message.get("data") for frame in frames(outputs) for message in frame.get("messages", [])]


def fault(
    message: str,
    action: Any,
    /,
    *,
    where: dict[str, str] | None = None,
    count: int | None = None,
    after: int = 0,
    **parameters: Any,
) -> RealtimeFault:
    return RealtimeFault(
        message=message, where=where or {}, count=count, after=after, action=action, parameters=parameters
    )


def test_it_begins_with_the_details_of_the_connection() -> None:
    (connected,) = frames(Dialogue().open())
    details = connected["connectionDetails"]
    assert connected["action"] == Action.CONNECTED
    assert details["connectionKey"] == connected["connectionKey"] != connected["connectionId"]
    assert (details["connectionStateTtl"], details["maxIdleInterval"]) == (120_000, 15_000)


@pytest.mark.parametrize(
    ("query", "code"),
    [({"key": "sandbox.watcher:no"}, 40101), ({"key": "who:no"}, 40400), ({"accessToken": "no"}, 40101)],
)
def test_who_has_no_right_to_is_turned_away(query: dict[str, str], code: int) -> None:
    outputs = Dialogue().open(NOW, **query)
    assert [frame["error"]["code"] for frame in frames(outputs)] == [code]
    assert outputs[-1] == Close()


def test_a_connection_goes_on_under_its_id_unless_it_was_away_for_too_long_or_is_forgotten() -> None:
    play = Dialogue()
    (first,) = frames(play.open())
    play.session.disconnected(NOW)
    (second,) = frames(play.open(later(seconds=119), resume=first["connectionKey"]))
    assert second["connectionId"] == first["connectionId"]
    assert "error" not in second
    play.session.disconnected(NOW)
    (third,) = frames(play.open(later(seconds=121), resume=second["connectionKey"]))
    assert third["connectionId"] != second["connectionId"]
    assert third["error"]["code"] == 80018
    play.app.disturb("forget", {}, NOW)
    (fourth,) = frames(play.open(resume=third["connectionKey"]))
    assert fourth["error"]["code"] == 80018


def test_a_connection_that_was_closed_is_not_to_be_resumed() -> None:
    play = Dialogue()
    (first,) = frames(play.open())
    outputs = play.say(Action.CLOSE)
    assert names(outputs) == ["CLOSED"]
    assert outputs[-1] == Close()
    (second,) = frames(play.open(resume=first["connectionKey"]))
    assert second["error"]["code"] == 80018


def test_messages_reach_those_who_are_attached() -> None:
    play = Dialogue()
    play.open()
    assert play.publish("before") == []
    (attached,) = frames(play.attach())
    assert (attached["channel"], attached["flags"]) == (A, Flag.SUBSCRIBE)
    (message,) = frames(play.publish("live", name="n", id="7"))
    assert message["channelSerial"] == message["messages"][0]["serial"] > attached["channelSerial"]
    assert {key: message["messages"][0][key] for key in ("data", "name", "id")} == {
        "data": "live",
        "name": "n",
        "id": "7",
    }
    assert names(play.say(Action.DETACH, channel=A)) == ["DETACHED"]
    assert play.publish("after") == []


def test_an_attach_goes_on_from_a_serial_that_is_known_whichever_the_connection() -> None:
    play = Dialogue()
    play.open()
    serial = frames(play.attach())[0]["channelSerial"]
    play.publish("a")
    play.publish("b")
    play.open()
    outputs = play.attach(channelSerial=serial, params={"rewind": "1"})
    assert names(outputs) == ["ATTACHED", "MESSAGE", "MESSAGE"]
    assert frames(outputs)[0]["flags"] & Flag.RESUMED
    assert frames(outputs)[0]["channelSerial"] == serial
    assert datas(outputs) == ["a", "b"]


def test_an_attach_that_can_not_go_on_says_so() -> None:
    play = Dialogue()
    play.open()
    serial = frames(play.attach())[0]["channelSerial"]
    play.publish("a")
    play.app.disturb("lose_continuity", {"channel": A}, NOW)
    (attached,) = frames(play.attach(channelSerial=serial))
    assert attached["error"]["code"] == 90003
    assert not attached["flags"] & Flag.RESUMED
    assert attached["channelSerial"] > serial


def test_a_first_attach_may_rewind() -> None:
    play = Dialogue()
    play.open()
    play.publish("a")
    outputs = play.attach(params={"rewind": "1"})
    assert frames(outputs)[0]["flags"] & Flag.HAS_BACKLOG
    assert datas(outputs) == ["a"]


@pytest.mark.parametrize(("channel", "code"), [("other", 40160), (None, 40000), (7, 40000)])
def test_no_attach_without_permission_or_a_channel(channel: object, code: int) -> None:
    play = Dialogue()
    play.open()
    (refused,) = frames(play.say(Action.ATTACH, channel=channel))
    assert (refused["action"], refused["error"]["code"]) == (Action.ERROR, code)


def test_a_publish_is_acknowledged_with_its_serials_and_again_when_it_comes_again() -> None:
    play = Dialogue()
    play.open(clientId="me")
    said: dict[str, Any] = {"channel": A, "msgSerial": 3, "messages": [{"data": "x", "id": "1"}]}
    first, second = play.say(Action.MESSAGE, **said), play.say(Action.MESSAGE, **said)
    (batch, none) = (output.batch for output in (*first, *second) if isinstance(output, Published))
    assert batch is not None
    assert none is None
    assert batch.messages[0].draft.client_id == "me"
    answer = {"action": Action.ACK, "msgSerial": 3, "count": 1, "res": [{"serials": [batch.serial]}]}
    assert frames(first) == frames(second) == [answer]


@pytest.mark.parametrize(
    ("channel", "messages", "code"), [("other", [{}], 40160), (A, [], 40000), (A, [{"data": 1}], 40013)]
)
def test_a_publish_is_refused(channel: str, messages: list[object], code: int) -> None:
    play = Dialogue()
    play.open()
    (nack,) = frames(play.say(Action.MESSAGE, channel=channel, msgSerial=0, messages=messages))
    assert (nack["action"], nack["msgSerial"], nack["error"]["code"]) == (Action.NACK, 0, code)


def test_who_wants_no_echo_does_not_hear_himself() -> None:
    play = Dialogue()
    for echo in ("true", "false"):
        play.open(echo=echo)
        play.attach()
        outputs = play.say(Action.MESSAGE, channel=A, msgSerial=0, messages=[{"data": echo}])
        (batch,) = (output.batch for output in outputs if isinstance(output, Published))
        assert batch is not None
        assert datas(play.session.deliver(batch)) == (["true"] if echo == "true" else [])


def test_pings_are_answered_and_silence_is_filled_with_heartbeats() -> None:
    play = Dialogue()
    play.open()
    assert frames(play.say(Action.HEARTBEAT, id="p")) == [{"action": Action.HEARTBEAT, "id": "p"}]
    assert frames(play.session.tick(NOW)) == [{"action": Action.HEARTBEAT}]
    play.open(heartbeats="false")
    assert play.session.tick(NOW) == []


def test_a_token_ends_its_connection_and_another_one_keeps_it() -> None:
    play = Dialogue()
    tokens = [
        play.app.keyring.issue("sandbox.watcher", {"ttl": ttl}, NOW, key_proven=True)["token"] for ttl in (1000, 9000)
    ]
    play.open(accessToken=tokens[0])
    assert names(play.say(Action.AUTH, auth={"accessToken": tokens[1]})) == ["CONNECTED"]
    assert names(play.session.tick(later(seconds=5))) == ["HEARTBEAT"]
    outputs = play.session.tick(later(seconds=9))
    assert [frame["error"]["code"] for frame in frames(outputs)] == [40142]
    assert outputs[-1] == Close()


def test_an_action_that_nobody_knows_is_refused() -> None:
    play = Dialogue()
    play.open()
    (error,) = frames(play.say(99))
    assert (error["action"], error["error"]["code"]) == (Action.ERROR, 40000)


def test_the_log_learns_frames_but_nothing_that_opens_a_connection() -> None:
    play = Dialogue()
    outputs = play.open()
    key = frames(outputs)[0]["connectionKey"]
    token = play.app.keyring.issue("sandbox.watcher", {}, NOW, key_proven=True)["token"]
    outputs += play.say(Action.AUTH, auth={"accessToken": token})
    records = str([output.record for output in outputs if isinstance(output, Note)])
    assert "'message': 'AUTH'" in records
    assert key not in records
    assert token not in records
    assert play.app.watcher_key not in records


# Faults.


def delivered(*faults: RealtimeFault) -> list[list[Output]]:
    """What comes of three messages."""
    play = Dialogue(*faults)
    play.open()
    play.attach()
    return [play.publish(data) for data in "abc"]


def test_messages_are_lost_as_often_as_told() -> None:
    assert [datas(outputs) for outputs in delivered(fault("MESSAGE", "drop", after=1, count=1))] == [["a"], [], ["c"]]
    assert [datas(outputs) for outputs in delivered(fault("MESSAGE", "drop"))] == [[], [], []]
    where = {"channel": A, "id": "no such"}
    assert [datas(outputs) for outputs in delivered(fault("MESSAGE", "drop", where=where))] == [["a"], ["b"], ["c"]]


def test_messages_come_twice_late_or_after_the_next() -> None:
    assert [datas(outputs) for outputs in delivered(fault("MESSAGE", "duplicate", count=1))] == [
        ["a", "a"],
        ["b"],
        ["c"],
    ]
    assert [datas(outputs) for outputs in delivered(fault("MESSAGE", "overtaken", count=1))] == [[], ["b", "a"], ["c"]]
    late = delivered(fault("MESSAGE", "delay", count=1, ms=70))[0]
    assert [output.delay_ms for output in late if isinstance(output, Send)] == [70]


def test_fields_of_a_frame_and_of_its_messages_say_something_else_or_nothing() -> None:
    changes: dict[str, Any] = {
        "channelSerial": None,
        "id": "other",
        "messages": {"data": "{", "encoding": "json", "serial": None},
    }
    (frame,) = frames(delivered(fault("MESSAGE", "alter", **changes))[0])
    assert "channelSerial" not in frame
    assert frame["id"] == "other"
    assert (frame["messages"][0]["data"], frame["messages"][0]["encoding"]) == ("{", "json")
    assert "serial" not in frame["messages"][0]


def test_a_frame_is_too_long_or_none() -> None:
    (padded,) = (o for o in delivered(fault("MESSAGE", "pad", bytes=5, count=1))[0] if isinstance(o, Send))
    assert padded.padding == 5
    assert SendBytes(payload=b"\xc1") in delivered(fault("MESSAGE", "garbage", count=1))[0]
    assert SendBytes(payload=b"\x01") in delivered(fault("MESSAGE", "garbage", hex="01", count=1))[0]


@pytest.mark.parametrize(("action", "code"), [("close", 1011), ("disconnect", None)])
def test_instead_of_a_frame_the_connection_ends(action: str, code: int | None) -> None:
    first, second, third = delivered(fault("MESSAGE", action, code=code))
    assert first[-1] == Close(code=code)
    assert second == third == []


def test_a_mute_connection_says_nothing_more_but_acts() -> None:
    play = Dialogue(fault("ATTACHED", "mute"))
    play.open()
    assert frames(play.attach()) == frames(play.publish("a")) == frames(play.say(Action.HEARTBEAT)) == []
    assert play.session.tick(NOW) == []


def test_heartbeats_alone_are_muted() -> None:
    play = Dialogue(fault("HEARTBEAT", "drop"))
    play.open()
    assert frames(play.session.tick(NOW)) == []
    assert names(play.attach()) == ["ATTACHED"]


def test_errors_are_of_the_channel_the_connection_or_what_was_published() -> None:
    play = Dialogue(
        fault("ATTACH", "error", code=40160), fault("ping", "error", code=50000), fault("publish", "error", code=42910)
    )
    play.open()
    (error,) = frames(play.attach())
    info = {"code": 40160, "statusCode": 401, "message": "as the sandbox was told"}
    assert error == {"action": Action.ERROR, "channel": A, "error": info}
    outputs = play.say(Action.MESSAGE, channel=A, msgSerial=4, messages=[{"data": "x"}])
    assert names(outputs) == ["NACK"]
    assert frames(outputs)[0]["error"]["statusCode"] == 429
    assert not any(isinstance(output, Published) for output in outputs)
    outputs = play.say(Action.HEARTBEAT)
    assert names(outputs) == ["ERROR"]
    assert outputs[-1] == Close()


def test_a_request_that_is_lost_is_not_acted_on() -> None:
    play = Dialogue(fault("ATTACH", "drop", count=1))
    play.open()
    assert frames(play.attach()) == frames(play.publish("a")) == []
    assert names(play.attach()) == ["ATTACHED"]


def test_what_struck_is_told() -> None:
    (note, *_) = delivered(fault("MESSAGE", "drop"))[0]
    assert note == Note(record={"event": "fault", "message": "MESSAGE", "action": "drop"})


# Disturbances.


def test_disturbances_of_a_connection() -> None:
    play = Dialogue()
    play.open()
    play.attach()
    assert frames(play.session.disturb("send", {"frame": {"action": 6}})) == [{"action": 6}]
    (attached,) = frames(play.session.disturb("discontinuity", {"channel": A}))
    assert (attached["action"], attached["flags"] & Flag.RESUMED) == (Action.ATTACHED, 0)
    assert play.session.disturb("discontinuity", {"channel": "other"}) == []
    assert play.session.disturb("expire_tokens", {}) == []
    assert play.session.disturb("stall", {}) == []
    assert play.publish("a") == []
    assert play.session.disturb("close", {"code": 1012}) == [Close(code=1012)]
    play.open()
    assert play.session.disturb("abort", {}) == [Close(code=None)]
