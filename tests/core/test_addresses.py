import pytest

from ibkr_rebalancer.core.addresses import is_loopback


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/a", "http://127.8.9.1", "https://localhost/a", "http://[::1]/"])
def test_this_machine(url: str) -> None:
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1.example.com/", "http://10.0.0.1/", "http://localhost.example.com", "a"]
)
def test_another_machine(url: str) -> None:
    assert not is_loopback(url)
