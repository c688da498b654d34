"""Addresses of notifications and of a monitor: which are taken, and what in them is secret."""

from pathlib import Path

import pytest

from ibkr_rebalancer.config.environment import Given, read_variables
from ibkr_rebalancer.config.outbound import secrets_of
from ibkr_rebalancer.core.addresses import shown_address
from ibkr_rebalancer.core.errors import ConfigError
from ibkr_rebalancer.core.notifications import Level

TELEGRAM = "tgram://123456789:AAbbCC-dd_EE/lead2gold"
MAIL = "mailto://user:correcthorse@example.com?to=me@example.org"


def value(name: str, text: str) -> object:
    return read_variables({name: Given(text, "the environment")}, cwd=Path("/nowhere"))[name]


def test_several_addresses_stand_between_spaces_or_line_breaks() -> None:
    assert value("NOTIFICATION_URLS", f" {TELEGRAM}\n{MAIL}  {TELEGRAM}\n") == (TELEGRAM, MAIL)


def test_they_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text(f"{TELEGRAM}\n{MAIL}\n", encoding="utf-8")
    given = {"NOTIFICATION_URLS_FILE": Given("urls", "the environment")}
    assert read_variables(given, cwd=tmp_path)["NOTIFICATION_URLS"] == (TELEGRAM, MAIL)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NOTIFICATION_URLS", "  "),
        ("NOTIFICATION_URLS", f"{TELEGRAM} s3cret"),
        ("HEARTBEAT_URL", "http://example.com/s3cret"),
        ("HEARTBEAT_URL", "ftp://127.0.0.1/s3cret"),
        ("HEARTBEAT_URL", "https:///s3cret"),
        ("HEARTBEAT_URL", "https://example.com/s3cret with spaces"),
        ("NOTIFICATION_LEVEL", "ALL"),
        ("NOTIFICATION_DETAILS", "true"),
    ],
)
def test_what_cannot_be_one_is_refused_without_showing_it(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        value(name, text)
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


def test_a_monitor_is_asked_over_https_or_on_this_machine() -> None:
    for url in ("https://example.com/ping/4711", "http://127.0.0.1:8081/beat", "http://[::1]/beat"):
        assert value("HEARTBEAT_URL", url) == url


def test_how_much_is_told() -> None:
    assert value("NOTIFICATION_LEVEL", "problems") is Level.PROBLEMS
    assert value("NOTIFICATION_DETAILS", "balances") is True


@pytest.mark.parametrize(
    ("address", "secrets", "harmless"),
    [
        (TELEGRAM, {"123456789", "AAbbCC-dd_EE", "lead2gold"}, {"tgram"}),
        (MAIL, {"correcthorse"}, {"example.com", "example.org", "user"}),
        ("json://127.0.0.1:8080/notify/a%2Fb-token", {"a%2Fb-token", "a/b-token"}, {"notify", "127.0.0.1"}),
        ("ntfy://my-topic", {"my-topic"}, {"ntfy"}),
    ],
)
def test_every_part_that_may_be_secret_is_taken_for_one(address: str, secrets: set[str], harmless: set[str]) -> None:
    taken = set(secrets_of(address))
    assert taken >= {address} | secrets
    assert not taken & harmless


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (TELEGRAM, "tgram://…"),
        (MAIL, "mailto://example.com"),
        ("json://user:pass@127.0.0.1:8080/token?x=y", "json://127.0.0.1"),
        ("discord://4174216298/JHMHI8qBe7bk", "discord://…"),
        ("pover://user@token", "pover://…"),
        ("xyz://eyJhbGciOi.eyJzdWIi.SflKxw/", "xyz://…"),
        ("slack://", "slack://…"),
        ("https://hc-ping.com/0b5e", "https://hc-ping.com"),
    ],
)
def test_an_address_is_shown_by_scheme_and_host_only(address: str, shown: str) -> None:
    assert shown_address(address) == shown
