"""Notifications and the heartbeat as an owner has them: real commands, real apprise, receivers on loopback."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from tests.cli.test_watch_secrets import talking, traces
from tests.support.commands import FIRST, SECOND, Here
from tests.support.receivers import Receiver, receiving
from tests.support.sandbox import order_messages
from tests.support.schemas import check_document
from tests.support.watching import TRADES, watching

MASKED = f"{FIRST[:2]}…{FIRST[-3:]}"
CANARY = "C4nary-of-an-address"
PASSWORD = "correcthorsebattery"  # noqa: S105 (it opens nothing)
HEART = "0b5e-heart-4711"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_a_watch_tells_its_life_and_trades_on_time_whoever_hangs(here: Here, receiver: Receiver) -> None:
    """The venue's own log says when orders came: nobody has waited for the receiver that keeps one for 20 seconds."""
    with receiving(hangs=True) as hangs, receiving() as monitor:
        addresses = f"{hangs.address}?rto=20 {receiver.address}\njson://127.0.0.1:9/nobody"
        with watching(here, env={"NOTIFICATION_URLS": addresses, "HEARTBEAT_URL": monitor.url}) as watch:
            hangs.until(lambda heard: heard)
            before = len(here.sandbox.log)
            watch.publish(TRADES)
            (run,) = watch.result()["runs"]
            assert run["outcome"] == "done"
            receiver.until(lambda heard: heard and heard[-1]["title"].endswith(" done"))
            told = receiver.heard[-1]
            assert hangs.titles == ["rebalancer: the watch has started"]
            after = here.sandbox.log[before:]
            hangs.lets_go.set()
            exit_code, err = watch.stop()
        assert len(monitor.heard) == 1
    begun, ended = (datetime.fromisoformat(each["t"]) for each in (after[0], order_messages(after)[-1]))
    assert (ended - begun).total_seconds() < 10
    titles = [
        "rebalancer: the watch has started",
        f"rebalancer: {MASKED} done",
        "rebalancer: the watch has stopped",
    ]
    assert [title for title in receiver.titles if "gateway" not in title] == titles  # a slow one is told of
    assert receiver.titles == hangs.titles
    orders = run["orders"]
    assert told["message"].startswith(f"{len(orders)} of {len(orders)} orders filled, turnover ")
    assert FIRST not in str(receiver.heard)
    assert exit_code == 0
    assert f"{len(receiver.heard)} notifications not sent: notification address 3 (json://127.0.0.1)" in err
    assert "Traceback" not in err


def test_an_unattended_execute_tells_what_came_of_it_after_the_result(here: Here, receiver: Receiver) -> None:
    here.set(NOTIFICATION_URLS=receiver.address)
    ended = here.run("execute", "--yes", "--json")
    assert ended.exit_code == 0
    check_document(ended.document)
    assert sorted(receiver.titles) == sorted(f"rebalancer: {each[:2]}…{each[-3:]} done" for each in (FIRST, SECOND))
    assert "USD" not in str(receiver.heard)


def test_why_an_unattended_execute_sent_nothing_is_told(here: Here, receiver: Receiver) -> None:
    here.set(NOTIFICATION_URLS=receiver.address, IBKR_PORT="9")
    assert here.run("execute", "--yes").exit_code == 20
    assert set(receiver.titles) == {"rebalancer: failed"}


def test_a_defect_of_ours_that_ends_an_unattended_execute_is_told(here: Here, receiver: Receiver) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("out of the blue")

    here.monkeypatch.setattr("ibkr_rebalancer.app.Rebalancer.rebalance", fails)
    here.set(NOTIFICATION_URLS=receiver.address)
    assert here.run("execute", "--yes").exit_code == 70
    (told,) = receiver.heard
    assert told["title"] == "rebalancer: failed"
    assert told["message"].startswith("A defect of rebalancer has ended it (RuntimeError).")


def test_a_watch_that_an_error_ends_says_so(here: Here, receiver: Receiver) -> None:
    here.set(NOTIFICATION_URLS=receiver.address, REALTIME_API_KEY="")
    assert here.run("watch").exit_code == 78
    (told,) = receiver.heard
    assert told["title"] == "rebalancer: THE WATCH HAS ENDED"
    assert "REALTIME_API_KEY is not set" in told["message"]


def test_plans_and_dry_runs_tell_nobody(here: Here, receiver: Receiver) -> None:
    here.set(NOTIFICATION_URLS=receiver.address)
    for command in (["plan"], ["execute", "--dry-run"]):
        assert here.run(*command).exit_code == 0
    assert receiver.heard == []


def test_a_trial_says_what_became_of_each_without_its_secret(here: Here, receiver: Receiver) -> None:
    unusable = f"nonsense://123456789:{CANARY}/"
    here.set(NOTIFICATION_URLS=f"{receiver.address}/{CANARY} json://127.0.0.1:9/{CANARY} {unusable}")
    ended = here.run("test-notification", "--json")
    check_document(ended.document)
    assert ended.exit_code == 78
    assert [(each["address"], each["outcome"]) for each in ended.document["deliveries"]] == [
        ("json://127.0.0.1", "sent"),
        ("json://127.0.0.1", "failed"),
        ("nonsense://…", "unusable"),
    ]
    assert receiver.titles == ["rebalancer: a test"]
    assert CANARY not in ended.out + ended.err
    here.set(NOTIFICATION_URLS=f"{receiver.address} json://127.0.0.1:9/told")
    ended = here.run("test-notification")
    assert ended.exit_code == 11
    assert ended.out.splitlines()[0] == "1. json://127.0.0.1: sent; the service has taken it"
    here.set(NOTIFICATION_URLS=receiver.address)
    assert here.run("test-notification").exit_code == 0


def test_a_trial_without_addresses_says_what_to_set(here: Here) -> None:
    ended = here.run("test-notification")
    assert ended.exit_code == 78
    assert "NOTIFICATION_URLS is not set" in ended.err


def test_no_secret_of_an_address_is_left_anywhere(here: Here, receiver: Receiver) -> None:
    """At the level at which urllib3 logs every path it asks for."""
    address = receiver.address.replace("//", f"//somebody:{PASSWORD}@")
    variables = {
        **here.environment,
        "NOTIFICATION_URLS": f"{address}/{CANARY} json://127.0.0.1:9/{CANARY}",
        "HEARTBEAT_URL": f"{receiver.url}/{HEART}",
    }
    with talking(here, **variables) as talk:
        receiver.until(lambda heard: len(heard) >= 2)
        talk.until_told("notification.down")
    said = [text for _, text in talk.everything()]
    assert any("/told/***" in text for text in said), "nothing has shown what was to be masked"
    for secret in (CANARY, HEART, PASSWORD):
        assert not [text for text in said if list(traces(secret, text))]
