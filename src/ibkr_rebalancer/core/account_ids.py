"""What an account number looks like, and how much of it a log may show. Pure."""

import re

ACCOUNT_ID = re.compile(r"[A-Z]{1,3}[0-9]{5,10}[A-Z]?")
"""U1234567, DU123456, DF…, F…: Interactive Brokers' account numbers."""

_IN_TEXT = re.compile(r"(?<![A-Za-z0-9])([A-Z]{1,3})[0-9]{2,7}([0-9]{3}[A-Z]?)(?![A-Za-z0-9])")


def with_account_ids_masked(text: str) -> str:
    """The text with DU123456 as DU…456: enough to tell one's accounts apart, too little to name one."""
    return _IN_TEXT.sub(r"\1…\2", text)
