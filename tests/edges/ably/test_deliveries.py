"""Messages become deliveries, whatever they hold."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.edges.ably.messages import LONG_AGO, decoded, past_delivery

NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("action", "serial", "id", "data", "encoding", "timestamp")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_nothing_is_raised(item: Any) -> None:
    delivery = past_delivery("c", item, NOW)
    assert delivery is None or (delivery.channel, delivery.received) == ("c", NOW)


@pytest.mark.parametrize(
    ("data", "encoding", "left"),
    [
        ("[" * 100_000, "json", "json"),
        ("9" * 10_000, "json", "json"),
        ("{", "json", "json"),
        ("a", "json/base64", "json/base64"),
        ("/w==", "utf-8/base64", "utf-8"),
        (7, "base64", "base64"),
        (7, "json", "json"),
        (None, "json", "json"),
        ("x", "vcdiff", "vcdiff"),
        ("x", "json/rot13", "json/rot13"),
    ],
)
def test_what_cannot_be_undone_is_left(data: object, encoding: str, left: str) -> None:
    assert decoded(data, encoding)[1] == left


@pytest.mark.parametrize("timestamp", [None, "soon", 10**30, float("nan"), float("inf"), True, [], {}])
def test_a_message_without_a_time_is_too_old_to_trade(timestamp: object) -> None:
    delivery = past_delivery("c", {"timestamp": timestamp}, NOW)
    assert delivery is not None
    assert abs(delivery.published - LONG_AGO).total_seconds() < 1


@pytest.mark.parametrize(
    ("action", "was_changed"),
    [(None, False), (0, False), (1, True), (2, True), (5, True), ("0", True), ([], True)],
)
def test_what_was_changed_since_it_was_published_says_nothing_any_more(action: object, was_changed: bool) -> None:
    delivery = past_delivery("c", {"action": action, "serial": "s", "data": "{}", "encoding": "json"}, NOW)
    assert delivery is not None
    assert (delivery.was_changed, delivery.data) == (was_changed, None if was_changed else {})
    assert (delivery.serial, delivery.undecoded) == ("s", "")
