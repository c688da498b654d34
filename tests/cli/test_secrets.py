"""What a log must not show, at its most talkative."""

import re

import pytest
from tests.support.commands import FIRST, SECOND, Here


def test_the_token_in_a_url_is_not_logged(here: Here) -> None:
    """urllib3 logs path and query as requests has encoded them anew, which is not as they stand in accounts.yaml."""
    entry = here.entry(FIRST, "%7Eabcd%41efgh-0?token=%7Eabcd%41efgh")
    here.accounts(entry)
    here.set(LOG_LEVEL="DEBUG")
    ended = here.run("plan", FIRST)
    assert ended.exit_code == 23
    (line,) = (line for line in ended.err.splitlines() if "DEBUG urllib3" in line and "GET" in line)
    assert '"GET /allocations/***?*** HTTP/1.1" 404' in line
    assert "abcd" not in ended.err


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["for people", "JSON"])
def test_what_is_secret_in_a_url_is_not_listed(here: Here, options: tuple[str, ...]) -> None:
    """The path tells two sources apart, and is shown but for a key or a token in it."""
    urls = {FIRST: "open-sesame/growth?token=abcd", SECOND: "%7Eabcd%41efgh-0/%6fpen-sesame/income#abcd"}
    here.accounts(*(here.entry(name, url, notification={"channel": name}) for name, url in urls.items()))
    here.set(ALLOCATIONS_API_KEY="open-sesame")
    ended = here.run("accounts", *options)
    assert ended.exit_code == 0
    shown = re.findall(re.escape(here.sandbox.inside.allocations_url) + r"/([^\s\"]+)", ended.out)
    assert shown == ["***/growth", "***/***/income"]
    for secret in ("sesame", "token", "abcd"):
        assert secret not in ended.out + ended.err


def test_a_url_with_a_password_is_refused_without_showing_it(here: Here) -> None:
    entry = here.entry(FIRST, "growth")
    entry["allocations"]["url"] = "https://me:sesame@targets.example/growth"
    here.accounts(entry)
    ended = here.run("accounts", "--json")
    assert ended.document["error"]["code"] == "CONFIG_INVALID_VALUE"
    assert "sesame" not in ended.out + ended.err


def test_no_account_number_is_logged(here: Here) -> None:
    here.set(LOG_LEVEL="DEBUG")
    ended = here.run("plan", FIRST)
    assert ended.exit_code == 0
    assert "DU…456" in ended.err
    assert FIRST not in ended.err
