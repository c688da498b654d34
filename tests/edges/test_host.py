from datetime import UTC, datetime

from ibkr_rebalancer.edges.host import SystemClock


def test_the_clock_is_aware_utc_and_runs() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)
