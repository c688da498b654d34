"""What a URL says about where it leads. Pure."""

from ipaddress import ip_address
from urllib.parse import urlsplit

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
