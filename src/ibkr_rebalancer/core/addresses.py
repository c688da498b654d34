"""What an address says about where it leads. Pure."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

HOST = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,18}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|localhost")
"""What is nothing but the name of a host, or its number."""

FILE = "file"
"""The scheme of a URL that names a file of this machine."""


def is_file(url: str) -> bool:
    """Whether the URL names a file."""
    return urlsplit(url).scheme == FILE


def is_loopback(url: str) -> bool:
    """Whether the URL names this very machine, where plain text is no danger and proxies have no business."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shown_address(address: str) -> str:
    """An address of a service by its scheme and, if that is what stands in its place, its host; the rest may be secret.

    Some services have their token where a URL has its host: what does not look like a host is left out.
    """
    scheme, _, rest = address.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
    return f"{scheme}://{host if HOST.fullmatch(host) else '…'}"
