"""Logging: one stream, every line without secrets and with account numbers masked, whoever wrote it.

The finished line is cleaned, not its parts, so that arguments, tracebacks and other people's records are covered. Of a
line of JSON it is each finished text in it: in JSON itself a secret could begin or end in the middle of an escape.
"""

import json
import logging
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from ibkr_rebalancer.core.account_ids import with_account_ids_masked
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.shown_text import shown_text

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
TIME = "%Y-%m-%d %H:%M:%SZ"
JSON_TIME = "%Y-%m-%dT%H:%M:%SZ"

NOTICE = "notice"
"""The attribute of a record that holds the notice it was made of."""

CHATTY = {
    "asyncio": logging.ERROR,  # it warns of every write to a connection whose end is told by us
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "urllib3": logging.WARNING,
    "websockets": logging.WARNING,
}
"""From which level on a library has something to say to an owner; ib_async and ably are silent where they are used."""

MASK = "***"

SHORTEST_ANYWHERE = 6
"""Characters of a secret that is taken out wherever it stands. A shorter one is part of words and of quantities: it is
taken out only where it stands as a value, whole, or is all of the text."""

BEFORE_A_VALUE = r"""(?:(?<=[=:/?&@'"])|(?<=Bearer ))"""

SHORTEST_TRACE = 4
"""Characters that a secret must leave in a base64 text to be looked for there; fewer would be found everywhere."""

BACKSLASHES = r"\\{1,16}"
"""What an escape begins with: one, which each further escaping doubles."""

SHORT_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}

LEVELS = {Severity.STEP: logging.INFO, Severity.WARNING: logging.WARNING}

logger = logging.getLogger("ibkr_rebalancer")


def configure_logging(
    level: str, *, secrets: Iterable[str], stream: TextIO | None = None, as_json: bool = False
) -> None:
    """Log to `stream` (standard error if None) from `level` upwards, in place of any earlier set-up.

    The lines are for people, or each is a JSON object with `time`, `level`, `event`, `account` and `text`, and where
    something came to no good end also `code` and `hint`. A record that cannot be formatted is dropped: Python would
    print its raw arguments instead.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter((_JsonLines if as_json else _Lines)(redactor(secrets)))
    handler.setLevel(level)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.raiseExceptions = False
    for name, worth_telling in CHATTY.items():
        logging.getLogger(name).setLevel(logging.NOTSET if level == "DEBUG" else worth_telling)


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that replaces the secrets in a text: plain, escaped, percent-encoded, and inside any base64.

    Of one with fewer than `SHORTEST_ANYWHERE` characters, sentences stay as they are.
    A byte of a secret that is no text is given as its surrogate (`errors="surrogateescape"`).
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    if not forms:
        return str
    secret = re.compile("|".join(sorted(forms, key=len, reverse=True)), re.IGNORECASE)
    return lambda text: secret.sub(MASK, text)


def redacted(text: str) -> str:
    """The text as the log would show it; for what is written beside the log, such as a traceback on the terminal.

    Before `configure_logging` no secret is known, and only account numbers are masked.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _Lines):
            return handler.formatter.clean(text)
    return with_account_ids_masked(text)


class LogObserver:
    """The observer that writes every notice into the log."""

    def notify(self, notice: Notice) -> None:
        logger.log(LEVELS[notice.severity], "%s: %s", notice.event, notice.line, extra={NOTICE: notice})


def log_end(notice: Notice) -> None:
    """Write why the process ends, whatever LOG_LEVEL is."""
    logger.error("%s: %s", notice.event, notice.line, extra={NOTICE: notice})


class _Lines(logging.Formatter):
    """Lines for people, their time in UTC, cleaned."""

    def __init__(self, redact: Callable[[str], str], line: str = LINE, moment: str = TIME) -> None:
        super().__init__(line, moment)
        self.converter = time.gmtime
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self.clean(super().format(record))

    def clean(self, text: str) -> str:
        return with_account_ids_masked(shown_text(self._redact(text)))


class _JsonLines(_Lines):
    """Lines for programs: objects in ASCII, so that the stream's encoding cannot spoil one."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__(redact, "%(message)s", JSON_TIME)

    def format(self, record: logging.LogRecord) -> str:
        notice = getattr(record, NOTICE, None)
        event, account, text, why = record.name, None, super().format(record), {}
        if isinstance(notice, Notice):
            event, account, text = notice.event, notice.account, self.clean(notice.text)
            if notice.news is not None and notice.news.code:
                why = {"code": notice.news.code, "hint": self.clean(notice.news.hint)}
        return json.dumps(
            {
                "time": self.formatTime(record, self.datefmt),
                "level": record.levelname,
                "event": self.clean(event),
                "account": account and self.clean(account),
                "text": text,
                **why,
            }
        )


def _forms(secret: str) -> Iterator[str]:
    """Patterns of all the ways in which a secret may be written."""
    plain = "".join(_written(character) for character in secret)
    is_short = len(secret) < SHORTEST_ANYWHERE
    yield rf"{BEFORE_A_VALUE}{plain}(?!\w)|\A{plain}\Z" if is_short else plain
    for offset in range(3):
        if len(trace := _base64_trace(_bytes(secret), offset)) >= SHORTEST_TRACE:
            before = "[A-Za-z0-9+/_-]?" if offset else ""
            yield f"{before}{''.join(_written(character) for character in trace)}[A-Za-z0-9+/_-]?(?:=|%3D){{0,2}}"


def _written(character: str) -> str:
    """A pattern of one character: itself, escaped as in repr and JSON, percent-encoded, or its URL-safe base64 twin."""
    itself = {"\\": r"\\+", "'": r"\\*'", '"': r'\\*"', " ": r"[ +]", "+": "[+-]", "/": "[/_]"}
    percent = "".join(f"%{byte:02X}" for byte in _bytes(character))
    ways = [percent, itself.get(character, re.escape(character)), *_escapes(character)]
    return f"(?:{'|'.join(ways)})"


def _escapes(character: str) -> Iterator[str]:
    """Patterns of how repr, ascii and JSON may name a character, and repr its bytes."""
    code, utf16 = ord(character), character.encode("utf-16-be", "surrogatepass")
    names = [f"x{code:02x}", f"u{code:04x}", f"U{code:08x}", *SHORT_ESCAPES.get(character, "")]
    yield f"{BACKSLASHES}(?:{'|'.join(names)})"
    if not character.isascii():
        yield "".join(f"{BACKSLASHES}x{byte:02x}" for byte in _bytes(character))
    if len(utf16) > 2:
        yield "".join(f"{BACKSLASHES}u{half.hex()}" for half in (utf16[:2], utf16[2:]))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _base64_trace(secret: bytes, offset: int) -> str:
    """The characters that a secret alone decides in a base64 text when it begins `offset` bytes after a whole triple.

    A base64 character has 6 bits: those before and after the trace also hold bits of the neighbouring bytes.
    """
    encoded = b64encode(bytes(offset) + secret).decode()
    first = -(-offset * 8 // 6)
    end = (offset + len(secret)) * 8 // 6
    return encoded[first:end]
