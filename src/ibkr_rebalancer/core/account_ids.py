"""What an account number looks like, and how much of it a log may show. Pure."""

import re

ACCOUNT_ID = re.compile(r"[A-Z]{1,3}[0-9]{5,10}[A-Z]?")
"""U1234567, DU123456, DF…, F…: Interactive Brokers' account numbers."""

_ESCAPE = r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|\\[abfnrtv0]|%[0-9A-Fa-f]{2}"
"""A character as repr, JSON and URLs write it; its end looks like the beginning of a word."""

_IN_TEXT = re.compile(rf"({_ESCAPE}|(?<![A-Za-z0-9]))([A-Z]{{1,3}})[0-9]{{2,7}}([0-9]{{3}}[A-Z]?)(?![A-Za-z0-9])")


def with_account_ids_masked(text: str) -> str:
    """The text with DU123456 as DU…456: enough to tell one's accounts apart, too little to name one."""
    return _IN_TEXT.sub(r"\1\2…\3", text)
