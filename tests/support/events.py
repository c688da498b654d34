"""Small true events and entries of them, numbered from 1: each is published one minute after the one before."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.support.notation import NOW

from ibkr_rebalancer.core.errors import EXIT_DONE
from ibkr_rebalancer.core.events import Delivery, Event, event_of
from ibkr_rebalancer.core.inbox import Ended, Entry, PutOff, Step
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.remedies import Remedy
from ibkr_rebalancer.core.report import RunMode

CHANNEL = "rebalance-primary"

FIRST = AccountId("DU1")
"""The account of whoever needs only one."""

ON_THE_WAY = timedelta(seconds=1)


def delivery(
    number: int = 1,
    data: object = None,
    *,
    channel: str = CHANNEL,
    serial: str | None = None,
    message_id: str | None = None,
    undecoded: str = "",
    was_changed: bool = False,
    late: timedelta = ON_THE_WAY,
) -> Delivery:
    """A message, with serial and message id of its own unless given."""
    published = NOW + timedelta(minutes=number)
    return Delivery(
        channel=channel,
        serial=f"serial-{number:03}" if serial is None else serial,
        message_id=f"message-{number}" if message_id is None else message_id,
        data=data,
        undecoded=undecoded,
        was_changed=was_changed,
        published=published,
        received=published + late,
    )


def event(
    number: int = 1,
    *,
    mode: RunMode = RunMode.REBALANCE,
    channel: str = CHANNEL,
    serial: str | None = None,
    message_id: str | None = None,
    stated_id: str | None = None,
    late: timedelta = ON_THE_WAY,
) -> Event:
    """The event of such a message, with a payload that asks for this."""
    data = {"execution": mode.value} | ({} if stated_id is None else {"event_id": stated_id})
    return event_of(delivery(number, data, channel=channel, serial=serial, message_id=message_id, late=late))


def entry(number: int = 1, *steps: Step, mode: RunMode = RunMode.REBALANCE, late: timedelta = ON_THE_WAY) -> Entry:
    """The entry of such an event for the first account."""
    return Entry(event=event(number, mode=mode, late=late), account=FIRST, steps=steps)


def put_off(
    at: datetime = NOW, *, due: datetime | None = None, remedy: Remedy = Remedy.TIME, code: str = "PRICE_STALE"
) -> PutOff:
    return PutOff(
        at=at, due=at if due is None else due, remedy=remedy, code=code, text="The prices are old.", run_id=""
    )


def ended(at: datetime = NOW, *, run_id: str = "") -> Ended:
    return Ended(at=at, code="", text="", exit_code=EXIT_DONE, run_id=run_id)


def numbers(entries: Sequence[Entry]) -> list[int]:
    """Which events these are of."""
    return [int(each.event.published.timestamp() - NOW.timestamp()) // 60 for each in entries]
