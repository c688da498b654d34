"""Keys, tokens and capabilities without a socket."""

import json
from datetime import timedelta
from typing import Any

import pytest
from ably.types.tokenrequest import TokenRequest
from tests.sandbox.test_ably_channels import NOW

from ibkr_rebalancer.sandbox.ably.keys import Capability, Grant, Key, Keyring
from ibkr_rebalancer.sandbox.ably.protocol import Refused

CAPABILITY: Capability = {"a": ("subscribe", "history"), "team:*": ("*",)}
KEY = Key(name="app.key", secret="s3cret", capability=CAPABILITY)


def keyring() -> Keyring:
    return Keyring([KEY], token_ttl_ms=60_000)


def signed(secret: str = KEY.secret, nonce: str = "n1", **more: Any) -> dict[str, Any]:
    request = TokenRequest(key_name=KEY.name, nonce=nonce, timestamp=1, **more)
    request.sign_request(secret)
    document: dict[str, Any] = request.to_dict()
    return document


def issued(ring: Keyring, request: dict[str, Any]) -> dict[str, Any]:
    return ring.issue(KEY.name, request, NOW, key_proven=False)


@pytest.mark.parametrize(
    ("operation", "channel", "allowed"),
    [
        ("subscribe", "a", True),
        ("history", "a", True),
        ("publish", "a", False),
        ("subscribe", "ab", False),
        ("publish", "team:x", True),
        ("publish", "team", False),
    ],
)
def test_a_capability(operation: str, channel: str, allowed: bool) -> None:
    grant = keyring().by_key(KEY.text)
    if allowed:
        grant.check(operation, channel)
    else:
        with pytest.raises(Refused) as refused:
            grant.check(operation, channel)
        assert (refused.value.code, refused.value.status) == (40160, 401)


@pytest.mark.parametrize(("text", "code"), [("app.other:s3cret", 40400), ("app.key:wrong", 40101), ("", 40400)])
def test_a_wrong_key(text: str, code: int) -> None:
    with pytest.raises(Refused) as refused:
        keyring().by_key(text)
    assert refused.value.code == code
    assert "s3cret" not in str(refused.value)


def test_a_token_does_what_its_key_does_until_it_is_over() -> None:
    ring = keyring()
    details = issued(ring, signed(client_id="me"))
    assert json.loads(details["capability"]) == {"a": ["subscribe", "history"], "team:*": ["*"]}
    grant = ring.by_token(details["token"], NOW)
    assert grant == Grant(key_name="app.key", capability=CAPABILITY, client_id="me", expires=details["expires"])
    assert details["expires"] - details["issued"] == 60_000
    with pytest.raises(Refused, match="40142"):
        ring.by_token(details["token"], NOW + timedelta(minutes=1))
    with pytest.raises(Refused, match="40142"):
        grant.check_time(NOW + timedelta(minutes=1))


def test_all_tokens_can_be_ended_at_once() -> None:
    ring = keyring()
    details = issued(ring, signed())
    ring.expire_tokens()
    with pytest.raises(Refused, match="40142"):
        ring.by_token(details["token"], NOW)
    ring.by_token(issued(ring, signed(nonce="n2"))["token"], NOW)
    with pytest.raises(Refused, match="40101"):
        ring.by_token("never seen", NOW)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ({"a": ["subscribe"]}, {"a": ["subscribe"]}),
        ({"a": ["*"]}, {"a": ["subscribe", "history"]}),
        ({"a": ["subscribe", "publish"], "b": ["subscribe"]}, {"a": ["subscribe"]}),
        ({"team:x": ["publish"]}, {"team:x": ["publish"]}),
        ({"*": ["subscribe"]}, {"a": ["subscribe"], "team:*": ["subscribe"]}),
        ({"*": ["*"]}, {"a": ["subscribe", "history"], "team:*": ["*"]}),
    ],
)
def test_a_token_may_be_given_less(wanted: dict[str, Any], given: dict[str, Any]) -> None:
    assert json.loads(issued(keyring(), signed(capability=json.dumps(wanted)))["capability"]) == given


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (signed(secret="wrong"), 40101),
        (signed() | {"ttl": 5}, 40101),
        ({"keyName": KEY.name}, 40101),
        (signed(capability='{"a": ["publish"]}'), 40160),
    ],
)
def test_what_gets_no_token(request_: dict[str, Any], code: int) -> None:
    with pytest.raises(Refused) as refused:
        issued(keyring(), request_)
    assert refused.value.code == code


def test_a_request_is_good_for_one_token() -> None:
    ring, request = keyring(), signed(ttl=1000)
    issued(ring, request)
    with pytest.raises(Refused, match="40104"):
        issued(ring, request)
