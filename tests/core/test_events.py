"""What an event asks for: only one exact word trades, and nothing that anybody can publish raises."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.events import CHANNEL, delivery, event
from tests.support.payloads import SURROGATE, WORD, WRONG_WORDS, asks_for_a_rebalance, misjudged

from ibkr_rebalancer.core.documents import decode, encode
from ibkr_rebalancer.core.events import (
    KEPT,
    LARGEST_PAYLOAD,
    LONGEST_STATED_ID,
    SHOWN,
    TRADES,
    WINDOW,
    Event,
    event_of,
    identities,
    mode_of,
)
from ibkr_rebalancer.core.report import RunMode

LONG_INTEGER = 10**5000
"""More digits than Python is willing to write."""

WRITTEN: Mapping[str, Callable[[object], object]] = {
    "object": lambda value: value,
    "text": json.dumps,
    "bytes": lambda value: json.dumps(value).encode(),
    "bytearray": lambda value: bytearray(json.dumps(value).encode()),  # what Ably's client makes of binary
}


def padded(length: int) -> str:
    """A payload that trades, as text of this length."""
    return json.dumps(WORD | {"pad": ""})[:-2] + "x" * (length - len(json.dumps(WORD | {"pad": ""}))) + '"}'


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"execution": "rebalance"},
        {"account": "U1", "size": 10**9, "symbols": ["GME"], "limits": None, "dry_run": True, "mode": "dry-run"},
        {"Execution": "dry-run", "EXECUTION": "no", "execution ": 1},
        {"nested": {"execution": "dry-run"}},
        {"é\u0000": [[[1.5, True, None]]]},
    ],
)
def test_the_word_trades_whatever_else_is_said(form: str, more: dict[str, object]) -> None:
    assert mode_of(WRITTEN[form](more | WORD)) == (RunMode.REBALANCE, "")


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize(
    "execution",
    [
        *WRONG_WORDS,
        *[True, False, None, 0, 1, 1.0, float("nan"), float("inf"), ["rebalance"], {"execution": "rebalance"}, [], {}],
    ],
)
def test_any_other_execution_is_a_dry_run(form: str, execution: object) -> None:
    mode, note = mode_of(WRITTEN[form]({"execution": execution}))
    assert mode is RunMode.DRY_RUN
    assert note.startswith("its execution is ")
    assert note.endswith(", not 'rebalance'")


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (None, "it has no payload"),
        *[
            (data, "its payload has no execution")
            for data in ({}, "{}", b"{}", {"action": "rebalance"}, '{"EXECUTION":1}')
        ],
        *[
            (data, "its payload cannot be read as a JSON object")
            for data in [
                *[
                    "",
                    "rebalance",
                    '"rebalance"',
                    "null",
                    "[]",
                    '["rebalance"]',
                    '[{"execution":"rebalance"}]',
                    "{",
                    "NaN",
                ],
                *[["rebalance"], [WORD], True, 1, 1.5, float("nan"), "\0", SURROGATE, json.dumps(json.dumps(WORD))],
                *[b"", b"\xff\xfe", b"\x81\xa9execution\xa9rebalance", json.dumps(WORD).encode("utf-16")],
                *["\ufeff" + json.dumps(WORD), json.dumps(WORD) + "x", json.dumps(WORD) * 2, "execution=rebalance"],
                *["{'execution':'rebalance'}", '{"execution":"rebalance",}', '{execution:"rebalance"}'],
            ]
        ],
    ],
)
def test_what_cannot_be_read_is_a_dry_run_that_says_why(data: object, note: str) -> None:
    assert mode_of(data) == (RunMode.DRY_RUN, note)


BOMBS = {
    "lists": "[" * 50_000,
    "objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "behind the word": '{"execution":"rebalance","a":' + "[" * 30_000 + "]" * 30_000 + "}",
    "digits": f'{{"execution":"rebalance","n":{"9" * 5000}}}',
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("form", [str, str.encode])
def test_what_was_made_to_do_harm_is_a_dry_run(bomb: str, form: Callable[[str], object]) -> None:
    assert mode_of(form(bomb)) == (RunMode.DRY_RUN, "its payload cannot be read as a JSON object")


@pytest.mark.parametrize(
    "twice",
    [
        '{"execution":"rebalance","execution":"dry-run"}',
        '{"execution":"dry-run","execution":"rebalance"}',
        '{"execution":"rebalance","execution":"rebalance"}',
        '{"execution":"rebalance","event_id":"a","event_id":"b"}',
        '{"execution":"rebalance","a":{"b":1,"b":2}}',
    ],
)
@pytest.mark.parametrize("form", [str, str.encode])
def test_what_says_two_things_at_once_is_a_dry_run(twice: str, form: Callable[[str], object]) -> None:
    assert mode_of(form(twice)) == (RunMode.DRY_RUN, "its payload cannot be read as a JSON object")


@pytest.mark.parametrize("form", [str, str.encode])
def test_what_is_larger_than_a_message_can_be_is_not_read(form: Callable[[str], object]) -> None:
    assert mode_of(form(padded(LARGEST_PAYLOAD))) == (RunMode.REBALANCE, "")
    assert mode_of(form(padded(LARGEST_PAYLOAD + 1)))[0] is RunMode.DRY_RUN


def test_a_text_that_subclasses_nothing_but_looks_like_the_word_is_not_compared_by_its_own_rules() -> None:
    class Agreeable:
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

    assert mode_of({"execution": Agreeable()})[0] is RunMode.DRY_RUN


near_the_word = st.sampled_from(["rebalance", "REBALANCE", "rebalance ", "execution", "event_id", "dry-run", "{}", ""])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | near_the_word | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(near_the_word | st.text(), inner), max_leaves=5
)
near_objects = st.dictionaries(near_the_word | st.text(max_size=3), values).map(lambda value: {"execution": 1} | value)
writable = st.recursive(
    st.none() | st.booleans() | st.floats() | near_the_word | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(near_the_word, inner),
    max_leaves=5,
)
texts = writable.map(json.dumps) | st.text() | near_objects.map(repr)
payloads = values | near_objects | texts | texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary()


@settings(max_examples=200)
@given(payloads)
@example({"execution": "rebalance"})
@example('{"execution":"rebalance"}')
@example({"execution": LONG_INTEGER, "event_id": LONG_INTEGER})
def test_nothing_raises_and_only_the_word_trades(data: object) -> None:
    known = event_of(delivery(data=data))
    assert (known.mode, known.note) == mode_of(data)
    assert (known.mode is RunMode.REBALANCE) == (not known.note)
    assert known.mode is RunMode.DRY_RUN or asks_for_a_rebalance(data)
    assert len(known.payload) <= KEPT
    assert known.payload.isprintable()
    assert known.note.isprintable()
    assert decode(Event, json.loads(json.dumps(encode(known)))) == known
    assert identities(known)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5).filter(lambda key: key != "execution"), scalars))
def test_other_keys_change_nothing(more: dict[str, object]) -> None:
    assert mode_of(more | WORD) == (RunMode.REBALANCE, "")
    assert mode_of(more)[0] is RunMode.DRY_RUN


def test_ten_thousand_payloads_that_are_nearly_right() -> None:
    assert misjudged(mode_of) == []


def test_a_payload_that_nests_too_deeply_to_be_shown_is_kept_without() -> None:
    data: object = "rebalance"
    for _ in range(20_000):
        data = [data]
    bomb = event_of(delivery(data={"execution": data}))
    assert (bomb.mode, bomb.payload, bomb.note) == (RunMode.DRY_RUN, "", "its execution is , not 'rebalance'")
    while isinstance(data, list):  # taken apart by hand: the interpreter would recurse
        (data,) = data


def test_a_note_shows_little_of_what_a_stranger_wrote() -> None:
    _, note = mode_of({"execution": "x" * 10_000 + "\n\x1b[31m"})
    assert note == f"its execution is '{'x' * (SHOWN - 1)}…, not 'rebalance'"


def test_a_payload_that_is_still_encoded_is_a_dry_run() -> None:
    known = event_of(delivery(data=WORD, undecoded="cipher+aes-256-cbc"))
    assert known.mode is RunMode.DRY_RUN
    assert known.note == "its payload is encoded as 'cipher+aes-256-cbc', which is not read here"


def test_a_message_that_was_changed_is_a_dry_run() -> None:
    """Whatever it says now: a change is no event, and what it said before is not known."""
    known = event_of(delivery(data=WORD, was_changed=True))
    assert known.mode is RunMode.DRY_RUN
    assert known.note == "it was changed or deleted before it was read here"


def test_an_event_is_told_as_it_came() -> None:
    known = event_of(delivery(4, {"execution": TRADES, "event_id": "mine"}))
    assert known == Event(
        event_id=known.event_id,
        channel=CHANNEL,
        serial="serial-004",
        message_id="message-4",
        stated_id="mine",
        published=known.received - timedelta(seconds=1),
        received=delivery(4).received,
        mode=RunMode.REBALANCE,
        note="",
        payload="{'execution': 'rebalance', 'event_id': 'mine'}",
    )


# Secrets

SECRET, MASKED = "s3cret", "***"


def redact(text: str) -> str:
    return text.replace(SECRET, MASKED)


@pytest.mark.parametrize("form", WRITTEN.values(), ids=WRITTEN)
def test_nothing_of_an_event_shows_a_secret(form: Callable[[object], object]) -> None:
    """Wherever whoever published it has put one."""
    data = form({"execution": f"re{SECRET}", "event_id": f"run {SECRET}", SECRET: [SECRET]})
    known = event_of(delivery(data=data, message_id=f"{SECRET}:0", undecoded=""), redact)
    assert SECRET not in encode_text(known)
    assert (known.mode, known.note) == (RunMode.DRY_RUN, f"its execution is 're{MASKED}', not 'rebalance'")
    assert known.payload.count(MASKED) == 4
    assert SECRET not in event_of(delivery(data="x", undecoded=SECRET), redact).note


def encode_text(known: Event) -> str:
    return json.dumps(encode(known))


@pytest.mark.parametrize("before", [KEPT - 3, SHOWN - 3, WINDOW - 3])
def test_a_secret_that_is_cut_short_is_not_shown_either(before: int) -> None:
    for data in ("x" * before + SECRET * 1000, {"execution": "x" * before + SECRET * 1000}):
        assert SECRET[:3] not in encode_text(event_of(delivery(data=data), redact))
    assert SECRET[:3] not in encode_text(event_of(delivery(data=SECRET * (2 * WINDOW)), redact))


def test_names_that_hold_a_secret_are_as_different_as_they_were() -> None:
    said = [event_of(delivery(1, {**WORD, "event_id": name}, serial="", message_id=""), redact) for name in NAMES]
    assert len({known.event_id for known in said}) == len({identities(known) for known in said}) == len(NAMES)
    assert said == [
        event_of(delivery(1, {**WORD, "event_id": name}, serial="", message_id=""), redact) for name in NAMES
    ]
    numbered = [event_of(delivery(1, serial="", message_id=name), redact) for name in NAMES]
    assert len({identities(known) for known in numbered}) == len(NAMES)


NAMES = (SECRET, MASKED, f"{SECRET}1", f"1{SECRET}")


# What it is known by


def test_an_event_is_known_by_serial_message_and_its_own_word_in_that_order() -> None:
    assert identities(event(1, stated_id="mine")) == ("serial serial-001", "message message-1", "stated mine")
    assert identities(event(1, serial="")) == ("message message-1",)
    assert identities(event(1, serial="", message_id="", stated_id="mine")) == ("stated mine",)
    assert identities(event(1, serial="", message_id="")) == ("published 2026-11-23T15:31:00Z",)


@pytest.mark.parametrize(
    ("stated", "known"),
    [
        *[("a", "a"), ("", ""), (7, "7"), (-7, "-7"), (0, "0"), (SURROGATE, SURROGATE)],
        *[("x" * LONGEST_STATED_ID, "x" * LONGEST_STATED_ID), ("x" * (LONGEST_STATED_ID + 1), "")],
        *[(10**LONGEST_STATED_ID, ""), (-(10**LONGEST_STATED_ID), "")],
        *[(True, ""), (None, ""), (1.0, ""), (["a"], ""), ({"a": 1}, "")],
    ],
)
def test_what_a_publisher_may_call_an_event(stated: object, known: str) -> None:
    assert event_of(delivery(data={"event_id": stated})).stated_id == known


def test_a_name_of_more_digits_than_can_be_written_is_none() -> None:
    assert event_of(delivery(data={"event_id": LONG_INTEGER})).stated_id == ""


@pytest.mark.parametrize("data", [None, "", "7", ["event_id"], b"\xff", '{"event_id":"a","event_id":"b"}'])
def test_what_is_no_object_says_no_name(data: object) -> None:
    assert event_of(delivery(data=data)).stated_id == ""


def test_the_content_is_no_name() -> None:
    """The seed's payload is the same every time."""
    assert not set(identities(event(1))) & set(identities(event(2)))
    assert event(1).event_id != event(2).event_id


def test_the_same_message_has_the_same_id_however_it_came() -> None:
    late = replace(delivery(1, WORD), received=delivery(1).received + timedelta(hours=1))
    assert event_of(late).event_id == event(1).event_id
    assert event(1, channel="another").event_id != event(1).event_id


names = st.sampled_from(["", "a", "b"])
few_events = st.builds(
    lambda number, serial, message_id, stated: event(number, serial=serial, message_id=message_id, stated_id=stated),
    *(st.integers(1, 2), names, names, names),
)


@given(few_events, few_events)
def test_events_with_one_id_share_a_name(one: Event, other: Event) -> None:
    """Otherwise they could not both be kept."""
    assert one.event_id != other.event_id or set(identities(one)) & set(identities(other))
