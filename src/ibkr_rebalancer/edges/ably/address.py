"""Where Ably is, spelled as its client wants it: one way for the socket, another for REST."""

from typing import Any
from urllib.parse import urlsplit


def socket_options(endpoint: str | None) -> dict[str, Any]:
    """Options of the realtime client; None is Ably itself.

    Its address has no place for a port, but whatever stands there is put before the query of the URL: a slash at the
    end makes that a good one. Without fallback hosts, as the client asks a web page before it tries one, and blocks
    until that has answered.
    """
    options: dict[str, Any] = {"fallback_hosts": []}
    if endpoint is not None:
        parts = urlsplit(endpoint)
        options |= {"endpoint": f"{parts.netloc}/", "tls": parts.scheme == "https"}
    return options


def rest_options(endpoint: str | None) -> dict[str, Any]:
    """Options of the REST client; None is Ably itself, with its fallback hosts.

    Over plain http the client does not send a key; there it signs a request for a token with it.
    """
    if endpoint is None:
        return {}
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    options: dict[str, Any] = {"endpoint": f"[{host}]" if ":" in host else host}
    if parts.scheme == "https":
        return options | {"tls": True, "tls_port": parts.port or 443}
    return options | {"tls": False, "port": parts.port or 80, "use_token_auth": True}
