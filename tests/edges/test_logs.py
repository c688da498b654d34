import base64
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.edges.logs import CHATTY, LogObserver, configure_logging, redacted, redactor

SECRET = "app.key-1:s3cr3t/+='\"&\\%"  # noqa: S105 (made up)


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, raises = logging.getLogger(), logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, logging.raiseExceptions = handlers, raises
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)


def configured(level: str = "INFO", *secrets: str) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level, secrets=secrets, stream=stream)
    return stream


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "lower case percent": lambda text: re.sub("%..", lambda hexed: hexed[0].lower(), quote(text, safe="")),
    "repr": lambda text: repr(text)[1:-1],
    "repr of repr": lambda text: repr(repr(text)[1:-1])[1:-1],
    "json": lambda text: json.dumps(text)[1:-1],
    "json in json": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "ascii": lambda text: ascii(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "json for pages": lambda text: re.sub("[<>&']", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text)[1:-1]),
}
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=8)


@given(
    ANY_TEXT | st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="*"), min_size=8),
    st.text(),
    st.text(),
)
@example(SECRET, "", "")
@example("pässwörd-🗝\t'\"", "", "")
@example("\\\\\\\\\\\\\\\\", "\\", "\\")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_secret_survives_in_any_writing(encoding: str, secret: str, before: str, after: str) -> None:
    written = ENCODINGS[encoding](secret)

    assert written not in redactor([secret])(f"{before}{written}{after}").replace("***", "\n")


URL_SAFE = str.maketrans("+/", "-_")
BASE64 = (base64.b64encode, base64.urlsafe_b64encode)


@given(st.binary(max_size=7), st.binary(min_size=6, max_size=40).map(base64.b85encode), st.binary(max_size=7))
@pytest.mark.parametrize("encode", BASE64)
def test_no_secret_can_be_decoded_from_base64(
    encode: Callable[[bytes], bytes], before: bytes, secret: bytes, after: bytes
) -> None:
    """Whatever is encoded together with it, and whichever character one begins to decode at."""
    encoded = encode(before + secret + after).decode()

    cleaned = redactor([secret.decode()])(f"Basic {encoded}")

    pieces = [piece[start:] for piece in re.findall(r"[A-Za-z0-9+/_-]+", cleaned) for start in range(4)]
    decoded = [base64.urlsafe_b64decode(piece[: len(piece) // 4 * 4].translate(URL_SAFE)) for piece in pieces]
    assert "***" in cleaned
    assert not any(secret in text for text in decoded)


@pytest.mark.parametrize("encode", BASE64)
@pytest.mark.parametrize("before", ["", "u", "u:", "us:", "user:"])
@pytest.mark.parametrize("after", ["", "x", "yx", "zyx"])
def test_what_is_left_of_base64_holds_no_byte_of_the_secret(
    encode: Callable[[bytes], bytes], before: str, after: str
) -> None:
    encoded = encode(f"{before}{SECRET}{after}".encode()).decode()

    left, _, right = redactor([SECRET])(encoded).partition("***")

    assert len(left) * 6 <= len(before) * 8
    assert (len(right.rstrip("=")) - 1) * 6 < len(after) * 8  # the last character may be filled up with zeros


@given(st.text(st.sampled_from("aZ0%47eEfF~-._+&=/?'\"\\^<{|"), min_size=6))
@example("%7Eabcd%41efgh")
@example("%e4%zz%2541%2F%")
def test_no_secret_of_a_url_survives_however_requests_writes_it(secret: str) -> None:
    """It decodes what need not be encoded, encodes what must be, and what is malformed twice; urllib3 logs that."""
    sent = requests.Request("GET", f"https://host/?{secret}").prepare().path_url.removeprefix("/?")

    redact = redactor([secret, unquote(secret, errors="surrogateescape")])

    assert redact(f'"GET /?{sent} HTTP/1.1" 200') == '"GET /?*** HTTP/1.1" 200'
    assert redact(secret) == "***"


def test_the_whole_goes_before_its_part() -> None:
    assert redactor(["s3cr3t", "app:s3cr3t"])("key=app:s3cr3t!") == "key=***!"


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_secrets_a_text_stays_as_it_is(secrets: list[str]) -> None:
    assert redactor(secrets)("as it is") == "as it is"


def test_a_short_secret_is_not_looked_for_in_base64() -> None:
    """Two characters of base64 are in every other word."""
    assert redactor(["ab"])("YW YWI key=ab") == "YW YWI key=***"


SENTENCES = [
    "event.step: Put off until 2026-11-23 15:30:05 UTC: event 856579f872da for DU1. A market is closed.",
    "orders.send: SELL 1 AAA, BUY 200 BBB at 49.98; it's a test of 5 orders",
]


@pytest.mark.parametrize("secret", ["a", "e", "1", ".", " ", "test", "order", "AAA", "200", "a b"])
def test_a_short_secret_leaves_sentences_as_they_are(secret: str) -> None:
    assert [redactor([secret])(sentence) for sentence in SENTENCES] == SENTENCES


@pytest.mark.parametrize("secret", ["a", "1", "test", "p+w=", "pä/s"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_short_secret_goes_where_it_stands_as_a_value(encoding: str, secret: str) -> None:
    written = ENCODINGS[encoding](secret)
    for place in ("{}", "key={}", "key={}&more", "https://me:{}@host", "Authorization: Bearer {}", '{{"key": "{}"}}'):
        assert redactor([secret])(place.format(written)) == place.format("***"), place


def test_a_secret_that_is_no_longer_short_goes_wherever_it_stands() -> None:
    assert redactor(["secret"])("mysecrets") == "my***s"


def test_message_arguments_and_traceback_are_cleaned() -> None:
    stream = configured("INFO", SECRET)
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("anybody").exception("%s and %r for %s", SECRET, {"key": SECRET}, "DU123456", stack_info=True)

    text = stream.getvalue()
    assert "anybody: *** and {'key': '***'} for DU…456" in text
    assert "base 10: '***'" in text
    assert "s3cr3t" not in text
    assert "DU123456" not in text


def test_text_beside_the_log_is_cleaned_alike() -> None:
    assert redacted(f"{SECRET} of DU123456") == f"{SECRET} of DU…456"

    configured("INFO", SECRET)
    logging.getLogger().handlers.insert(0, logging.NullHandler())

    assert redacted(f"{SECRET} of DU123456") == "*** of DU…456"


def test_a_line_has_its_time_in_utc() -> None:
    stream = configured()
    record = logging.LogRecord("a", logging.INFO, "", 0, "hello", None, None)
    record.created = 1795447800.0
    logging.getLogger().handle(record)

    assert stream.getvalue() == "2026-11-23 15:30:00Z INFO a: hello\n"


def test_a_record_that_cannot_be_formatted_shows_its_arguments_to_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    stream = configured("INFO", SECRET)
    logging.getLogger("careless").warning("%d", SECRET)

    assert stream.getvalue() == ""
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "worth_telling"), CHATTY.items())
def test_chatty_libraries_are_heard_when_it_is_worth_it(name: str, worth_telling: int) -> None:
    stream = configured("INFO", SECRET)
    logging.getLogger(f"{name}.client").log(worth_telling - 1, "connecting with %s", SECRET)
    logging.getLogger(f"{name}.client").log(worth_telling, "lost with %s", SECRET)

    level = logging.getLevelName(worth_telling)
    assert stream.getvalue().endswith(f"Z {level} {name}.client: lost with ***\n")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("name", CHATTY)
def test_chatty_libraries_are_heard_on_debug_and_cleaned_there_too(name: str) -> None:
    stream = configured("DEBUG", SECRET)
    logging.getLogger(f"{name}.client").debug("?key=%s", quote(SECRET))

    assert stream.getvalue().endswith("?key=***\n")


def test_writes_into_a_lost_connection_are_nothing_to_tell_an_owner() -> None:
    stream = configured("INFO")
    logging.getLogger("asyncio").warning("socket.send() raised exception.")
    assert stream.getvalue() == ""


def test_a_higher_level_silences_everybody() -> None:
    stream = configured("ERROR")
    for name in ("ib_async", "ibkr_rebalancer"):
        logging.getLogger(name).warning("not heard")

    assert stream.getvalue() == ""


def test_a_second_set_up_takes_the_place_of_the_first() -> None:
    first, second = configured(), configured()
    logging.getLogger().warning("once")

    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)


def test_without_a_stream_it_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", secrets=[])
    logging.getLogger("a").info("hello")

    assert capsys.readouterr().err.endswith("INFO a: hello\n")


def test_notices_become_records() -> None:
    stream = configured()
    observer = LogObserver()
    observer.notify(Notice(event="account.read", text="Reading DU123456, 50 % done", account=AccountId("DU123456")))
    observer.notify(Notice(event="clock.skewed", text="The clocks are apart.", severity=Severity.WARNING))

    assert [line.partition("Z ")[2] for line in stream.getvalue().splitlines()] == [
        "INFO ibkr_rebalancer: account.read: Reading DU…456, 50 % done",
        "WARNING ibkr_rebalancer: clock.skewed: The clocks are apart.",
    ]


def lines_of_json(stream: io.StringIO) -> list[dict[str, Any]]:
    lines = stream.getvalue().splitlines()
    assert all(line.isascii() for line in lines)
    return [json.loads(line) for line in lines]


def configured_for_programs(*secrets: str, level: str = "DEBUG") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level, secrets=secrets, stream=stream, as_json=True)
    return stream


def test_a_notice_is_an_object_of_one_line() -> None:
    stream = configured_for_programs()
    text = "Put off: event 1 for DU123456.\nIt is closed: “no”"
    LogObserver().notify(
        Notice(event="event.step", text=text, account=AccountId("DU123456"), severity=Severity.WARNING)
    )
    LogObserver().notify(Notice(event="gateway.up", text="The gateway is there"))
    step, gateway = lines_of_json(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", step.pop("time"))
    assert step == {
        "level": "WARNING",
        "event": "event.step",
        "account": "DU…456",
        "text": "Put off: event 1 for DU…456.\nIt is closed: “no”",
    }
    assert (gateway["level"], gateway["event"], gateway["account"]) == ("INFO", "gateway.up", None)


def test_what_others_log_is_an_object_with_its_traceback() -> None:
    stream = configured_for_programs()
    try:
        int("no number")
    except ValueError:
        logging.getLogger("urllib3.client").exception("%s of DU123456 failed", "All", stack_info=True)
    (line,) = lines_of_json(stream)
    assert (line["level"], line["event"], line["account"]) == ("ERROR", "urllib3.client", None)
    assert line["text"].startswith("All of DU…456 failed\nTraceback (most recent call last):\n")
    assert "ValueError: invalid literal" in line["text"]
    assert "Stack (most recent call last):" in line["text"]


IN_JSON: dict[str, Callable[[str], str]] = {
    **ENCODINGS,
    "base64": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}
SECRETS = [
    SECRET,
    "nabcdef'\"\\",  # begins as an escape ends, and ends as one begins
    '"quoted"',
    "\\back\\slash\\",
    "u00e9-pässwörd-🗝",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("encoding", IN_JSON)
def test_no_secret_is_in_a_line_of_json_which_stays_one(encoding: str, secret: str) -> None:
    """In a message, its arguments, an exception, a notice, a record of somebody else, between all kinds of escapes."""
    stream = configured_for_programs(secret)
    written = IN_JSON[encoding](secret)
    for before in ("", "\n", "\\", '"', "é", "🗝", "\x00"):
        logging.getLogger("websockets").debug("%s", f"{before}{written}{before}")
        logging.getLogger("anybody").info(f"{before}{written}{before}")  # noqa: G004 (a careless library does so)
        LogObserver().notify(Notice(event="event.received", text=f"{before}{written}{before}"))
        try:
            logging.getLevelNamesMapping()[f"{before}{written}{before}"]
        except KeyError:
            logging.getLogger("httpx").exception("It failed")

    lines = lines_of_json(stream)
    assert len(lines) == 7 * 4
    for line in lines:
        assert "***" in line["text"]
        assert written not in line["text"]
        assert secret not in line["text"]
    for leak in {written, secret, json.dumps(secret)[1:-1], json.dumps(written)[1:-1]}:
        assert leak not in stream.getvalue()


@given(ANY_TEXT, st.text(), st.text(), st.sampled_from(sorted(IN_JSON)))
def test_a_line_of_json_is_one_whatever_is_secret(secret: str, before: str, after: str, encoding: str) -> None:
    stream = configured_for_programs(secret)
    logging.getLogger("anybody").info("%s%s%s", before, IN_JSON[encoding](secret), after)
    (line,) = lines_of_json(stream)
    assert IN_JSON[encoding](secret) not in line["text"].replace("***", "\n")


def test_text_beside_a_log_of_json_is_cleaned_alike() -> None:
    configured_for_programs(SECRET)
    assert redacted(f"{SECRET} of DU123456") == "*** of DU…456"


def test_a_line_commands_no_terminal() -> None:
    stream = configured()
    LogObserver().notify(Notice(event="gateway.warn", text="\x1b[2Jgone\x07\u202e"))
    assert stream.getvalue().endswith("gateway.warn: [2Jgone\n")
