"""Messages as they are published and read: the encodings of JSON and msgpack, and what is none."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sandbox.test_ably_channels import NOW

from ibkr_rebalancer.sandbox.ably.channels import Channel
from ibkr_rebalancer.sandbox.ably.messages import MAX_MESSAGE_SIZE, read_drafts
from ibkr_rebalancer.sandbox.ably.protocol import Frame, Refused, packed, unpacked

DATA = st.none() | st.text() | st.binary()


def through(message: Frame, *, sent_binary: bool, read_binary: bool) -> Frame:
    """A message over the wire, into a channel and out again."""
    body = unpacked(packed(message, binary=sent_binary), binary=sent_binary)
    batch = Channel("c", NOW).publish(read_drafts(body), NOW)
    assert batch is not None
    document = batch.messages[0].document(binary=read_binary)
    result: Frame = unpacked(packed(document, binary=read_binary), binary=read_binary)
    return result


def spelled(data: object, *, binary: bool) -> Frame:
    """As a client writes it."""
    if isinstance(data, bytes) and not binary:
        return {"data": base64.b64encode(data).decode(), "encoding": "base64"}
    return {"data": data}


@given(DATA, st.booleans(), st.booleans())
def test_data_is_the_same_whoever_publishes_and_whoever_reads(data: object, sent: bool, read: bool) -> None:
    message = through(spelled(data, binary=sent), sent_binary=sent, read_binary=read)
    shown = {key: message[key] for key in ("data", "encoding") if key in message}
    assert shown == {key: value for key, value in spelled(data, binary=read).items() if value is not None}


@pytest.mark.parametrize("binary", [False, True])
def test_an_object_is_kept_as_its_json(binary: bool) -> None:
    message = through(
        {"data": {"execution": "rebalance"}, "name": "e", "id": "7"}, sent_binary=binary, read_binary=False
    )
    assert (message["data"], message["encoding"]) == ('{"execution": "rebalance"}', "json")
    assert (message["name"], message["id"], message["action"]) == ("e", "7", 0)
    assert message["version"] == {"serial": message["serial"], "timestamp": message["timestamp"]}


def test_bytes_in_the_old_msgpack_are_bytes() -> None:
    """The Python client packs text and bytes alike."""
    (draft,) = read_drafts(unpacked(b"\x81\xa4data\xa2\xff\x01", binary=True))
    assert draft.data == b"\xff\x01"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 40000),
        ("text", 40000),
        ([{"data": "a"}, 7], 40000),
        ({"name": 7}, 40000),
        ({"action": 9}, 40000),
        ({"data": 7}, 40013),
        ({"data": True}, 40013),
        ({"data": "\ud800"}, 40013),
        ({"clientId": "\ud800"}, 40000),
        ({"data": "no base64", "encoding": "base64"}, 40013),
        ({"data": "x" * (MAX_MESSAGE_SIZE + 1)}, 40009),
    ],
)
def test_what_is_no_message(body: object, code: int) -> None:
    with pytest.raises(Refused) as refused:
        read_drafts(body)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("content", "binary"),
    [(b"{", False), (b"\xff", False), (b"\xc1", True), (b"\x92\x01", True), (b"[" * 100_000, False)],
)
def test_what_can_not_be_decoded(content: bytes, binary: bool) -> None:
    with pytest.raises(Refused, match="can't be decoded"):
        unpacked(content, binary=binary)
