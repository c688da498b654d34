"""An endpoint, spelled for both of Ably's clients."""

import pytest
from ably.http.http import Http
from ably.rest.rest import AblyRest
from ably.transport.defaults import Defaults

from ibkr_rebalancer.edges.ably.address import rest_options, socket_options


@pytest.mark.parametrize(
    ("endpoint", "socket", "rest"),
    [
        (None, "main.realtime.ably.net", "https://main.realtime.ably.net:443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080/", "http://[::1]:8080"),
        ("http://localhost", "localhost/", "http://localhost:80"),
        ("https://ably.example.com", "ably.example.com/", "https://ably.example.com:443"),
        ("https://ably.example.com:8443", "ably.example.com:8443/", "https://ably.example.com:8443"),
    ],
)
async def test_both_clients_go_there(endpoint: str | None, socket: str, rest: str) -> None:
    """The socket's URL is its host and a query."""
    options = socket_options(endpoint)
    assert Defaults.get_hostname(options.get("endpoint", Defaults.endpoint)) == socket
    assert options.get("tls", True) == rest.startswith("https")
    async with AblyRest("a.b:c", **rest_options(endpoint)) as client:
        http: Http = client.http
        assert f"{http.preferred_scheme}://{http.preferred_host}:{http.preferred_port}" == rest


def test_no_fallback_host_is_tried_for_the_socket() -> None:
    """Before it tries one, the client asks a web page and blocks its loop."""
    assert socket_options(None)["fallback_hosts"] == []
