"""The reckoning after a story of events: what was published, what was made of it, and whether the two agree.

    assert not breaches(published(log), told(journal), accounts={"rebalance": ["DU1"]})

What was published is the sandbox's word, or the test's; what was made of it is read from the journal afterwards. A
consumer that keeps no journal tells its story in the same form, so that one judge is for all.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import select
from tests.support.sandbox import events as happened

from ibkr_rebalancer.core.events import Event
from ibkr_rebalancer.core.inbox import Ended, Step
from ibkr_rebalancer.core.report import RunMode
from ibkr_rebalancer.edges.journal.journal import Journal
from ibkr_rebalancer.edges.journal.tables import entries, events, read, steps
from ibkr_rebalancer.sandbox.log import Record

LONGEST = 1_000_000
"""Runs of a story: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A message that exists, whoever has heard it."""

    serial: str
    """Ably's name for it in its channel; serials sort as messages were published."""
    channel: str
    trades: bool
    """Whether it asks for a rebalance."""
    was_changed: bool = False
    """By an update or a delete: then it trades only if it was heard before."""

    @property
    def key(self) -> str:
        """Sorts as the serial does."""
        return key(self.channel, self.serial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run that might trade."""

    key: str
    """Of the message that asked for it."""
    account: str
    is_over: bool
    """Whether nothing is to follow: it was neither killed nor cut short, and nothing passing was in its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What somebody has made of messages."""

    kept: Counter[str] = field(default_factory=Counter)
    """How often each message is in the inbox, by its key."""
    ends: Sequence[tuple[str, str, str]] = ()
    """Message, account and reason code of each end."""
    runs: Sequence[Ran] = ()
    """In the order in which they began."""


def as_one(story: Story, same: Mapping[str, str]) -> Story:
    """The story in which messages that are one event have one key; `same` tells it for those that have another."""
    kept: Counter[str] = Counter()
    for key, times in story.kept.items():
        kept[same.get(key, key)] += times
    return Story(
        kept=kept,
        ends=[(same.get(key, key), account, code) for key, account, code in story.ends],
        runs=[replace(run, key=same.get(run.key, run.key)) for run in story.runs],
    )


def breaches(published: Sequence[Published], story: Story, *, accounts: Mapping[str, Collection[str]]) -> Sequence[str]:
    """Everything in which the story falls short of: each once, none lost, none after a newer one."""
    known = {each.key: each for each in published}
    return [
        *_lost_or_doubled(known, story, accounts),
        *_ran_wrongly(known, story.runs),
        *_displaced(known, story.ends),
    ]


def _lost_or_doubled(
    known: Mapping[str, Published], story: Story, accounts: Mapping[str, Collection[str]]
) -> Iterator[str]:
    ends = Counter((key, account) for key, account, _ in story.ends)
    for key, message in known.items():
        if not story.kept[key]:
            yield f"missing: {key}"
            continue
        if story.kept[key] > 1:
            yield f"kept {story.kept[key]} times: {key}"
        for account in accounts[message.channel]:
            if ends[key, account] != 1:
                yield f"ended {ends[key, account]} times: {key} for {account}"
    yield from (f"never published: {key}" for key in story.kept if key not in known)
    yield from (
        f"ended for a stranger: {key} for {account}"
        for key, account in ends
        if key in known and account not in accounts[known[key].channel]
    )


def _ran_wrongly(known: Mapping[str, Published], runs: Sequence[Ran]) -> Iterator[str]:
    over: set[tuple[str, str]] = set()
    newest: dict[str, str] = {}
    for run in runs:
        if (run.key, run.account) in over:
            yield f"carried out twice: {run.key} for {run.account}"
        if run.key < newest.get(run.account, ""):
            yield f"carried out after a newer one: {run.key} for {run.account}"
        if run.key not in known or not known[run.key].trades:
            yield f"traded without being asked: {run.key} for {run.account}"
        newest[run.account] = max(run.key, newest.get(run.account, ""))
        if run.is_over:
            over.add((run.key, run.account))


def _displaced(known: Mapping[str, Published], ends: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """A rebalance gives way to a newer rebalance only."""
    newest: dict[str, str] = {}
    for message in known.values():
        if message.trades:
            newest[message.channel] = max(message.key, newest.get(message.channel, ""))
    for key, account, code in ends:
        displaced = known.get(key)
        if displaced is None or not displaced.trades or displaced.was_changed or code != "EVENT_SUPERSEDED":
            continue
        if key >= newest[displaced.channel]:
            yield f"displaced by what does not trade: {key} for {account}"


def published(log: list[Record], trades: Collection[str]) -> list[Published]:
    """What the sandbox has published, but for changes of messages; `trades` are the ids of those that ask for a
    rebalance."""
    records = happened(log, "published")
    changed = {record["serial"] for record in records if record["action"]}
    return [
        Published(
            serial=record["serial"],
            channel=record["channel"],
            trades=record["id"] in trades,
            was_changed=record["serial"] in changed,
        )
        for record in records
        if not record["action"]
    ]


def told(journal: Journal) -> Story:
    """The story by the journal."""
    with journal._store.reading() as connection:
        rows = connection.execute(select(events.c.event_id, events.c.body)).all()
        keys = {row.event_id: _key(read(Event, row.body)) for row in rows}
        statement = (
            select(events.c.event_id, entries.c.account, steps.c.body)
            .join(entries, steps.c.of_entry == entries.c.id)
            .join(events, entries.c.of_event == events.c.id)
            .order_by(steps.c.id)
        )
        taken = [(row.event_id, row.account, read(Step, row.body)) for row in connection.execute(statement)]
    runs = [
        Ran(
            key=keys.get(record.start.trigger, record.start.trigger),
            account=record.start.account,
            is_over=record.report is not None and record.report.outcome not in {"partial", "interrupted"},
        )
        for record in reversed(journal.runs(limit=LONGEST))
    ]
    return Story(
        kept=Counter(keys.values()),
        ends=[(keys[event_id], account, step.code) for event_id, account, step in taken if isinstance(step, Ended)],
        runs=runs,
    )


def notes(journal: Journal) -> dict[str, tuple[RunMode, str]]:
    """What each message was read as, and why, by its key."""
    with journal._store.reading() as connection:
        bodies = connection.execute(select(events.c.body)).scalars().all()
    return {_key(event): (event.mode, event.note) for event in (read(Event, body) for body in bodies)}


def key(channel: str, serial: str) -> str:
    """What a message is known by: serials are those of their channel."""
    return f"{serial} on {channel}"


def _key(event: Event) -> str:
    return key(event.channel, event.serial)
