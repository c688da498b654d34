"""What a log must not show, at its most talkative."""

from tests.support.commands import FIRST, Here


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


def test_no_account_number_is_logged(here: Here) -> None:
    here.set(LOG_LEVEL="DEBUG")
    ended = here.run("plan", FIRST)
    assert ended.exit_code == 0
    assert "DU…456" in ended.err
    assert FIRST not in ended.err
