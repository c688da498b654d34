"""Where word is sent: addresses of notifications and of a monitor, and what in them nobody else may read."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from ibkr_rebalancer.core.addresses import HOST, is_loopback

WORD = re.compile(r"[a-z]{1,15}")
"""Part of an address that is no secret, and that a log may need."""

SHORTEST = 6
"""Characters of a part that may be a secret; shorter ones stand everywhere."""


def read_addresses(text: str) -> tuple[str, ...]:
    """Addresses as apprise writes them, one or more, with white space between them.

    Raises:
        ValueError: one of them cannot be any.
    """
    addresses = tuple(dict.fromkeys(text.split()))
    if not addresses or not all(re.fullmatch(r"[a-z][a-z0-9+.-]*://[!-~]*", address) for address in addresses):
        raise ValueError(text)
    return addresses


def read_heartbeat(text: str) -> str:
    """The URL of a monitor; its way is encrypted, or does not leave this machine.

    Raises:
        ValueError: it is not one.
    """
    parts = urlsplit(text)
    leads_somewhere = parts.hostname and parts.port != 0 and re.fullmatch(r"[!-~]+", text)
    if not leads_somewhere or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(text))):
        raise ValueError(text)
    return text


def secrets_of(address: str) -> Iterator[str]:
    """The address, and all parts of it that may be secret: some services have their token where others have a host.

    A part counts as one unless it is short, a plain word or the name of a host; a password is one in any case.
    """
    yield address
    _, _, rest = address.partition("://")
    userinfo, at, _ = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
    parts = [part for part in re.split(r"[/?#&=@:,]", rest) if len(part) >= SHORTEST]
    passwords = [userinfo.partition(":")[2]] if at else []
    for part in (*passwords, *(part for part in parts if not WORD.fullmatch(part) and not HOST.fullmatch(part))):
        yield part
        yield unquote(part, errors="surrogateescape")
