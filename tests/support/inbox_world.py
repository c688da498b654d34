"""An account whose events arrive, are carried out and fail, on the agenda alone: nothing is sent and nothing kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import strategies as st
from tests.support.events import ended, entry, numbers, put_off
from tests.support.notation import NOW

from ibkr_rebalancer.core.inbox import Agenda, Ended, Entry, PutOff, Step, agenda
from ibkr_rebalancer.core.report import RunMode

Decide = Callable[..., Agenda]

MOMENTS = 40
"""Minutes from `NOW`, around the half hour at which the agenda is asked for."""


def wishes() -> st.SearchStrategy[Sequence[Entry]]:
    """Some pending entries of one account, each of another event: new, put off, too old."""
    moments = st.integers(20, MOMENTS).map(lambda minute: NOW + timedelta(minutes=minute))
    steps = st.lists(moments.map(lambda moment: put_off(due=moment)), max_size=2)
    late = st.sampled_from([timedelta(seconds=1), timedelta(hours=30)])
    modes = st.sampled_from(RunMode)
    rows = st.tuples(st.integers(1, 9), steps, modes, late)
    return st.lists(rows, max_size=6, min_size=1, unique_by=lambda row: row[0]).map(
        lambda drawn: [entry(number, *taken, mode=mode, late=age) for number, taken, mode, age in drawn]
    )


class World:
    """What happens, and what must hold whenever something is carried out."""

    def __init__(self, decide: Decide = agenda) -> None:
        self._decide = decide
        self._now = NOW + timedelta(hours=1)
        self._pending: dict[int, Entry] = {}
        self._ends: list[int] = []
        self._carried_out: datetime | None = None
        self._rebalanced: list[int] = []

    def arrive(self, number: int, mode: RunMode) -> None:
        self._pending[number] = entry(number, mode=mode)

    def work(self, comes_to: str) -> None:
        """Do what is next, if something is; what it comes to is done, later or error."""
        what = self._decide(
            [*self._pending.values()], carried_out=self._carried_out, max_age=timedelta(days=1), now=self._now
        )
        for dropped, end in what.dropped:
            self._judge_dropped(dropped)
            self._take(dropped, end)
        if what.next is not None:
            self._judge(what.next)
            self._carry_out(what.next, comes_to)
        self._now += timedelta(minutes=1)

    def finish(self) -> None:
        """Time passes, and everything goes well: then every event has ended, and once."""
        arrived = len(self._pending) + len(self._ends)
        for _ in range(2 * arrived):
            self._now += timedelta(hours=1)
            self.work("done")
        assert not self._pending, "everything ends"
        assert len(self._ends) == len(set(self._ends)) == arrived, "each once"

    def _carry_out(self, entry: Entry, comes_to: str) -> None:
        step: Step = put_off(self._now, due=self._now + timedelta(minutes=3)) if comes_to == "later" else ended()
        if comes_to == "done" and entry.event.mode is RunMode.REBALANCE:
            self._carried_out = max(self._carried_out or entry.event.published, entry.event.published)
            self._rebalanced += numbers([entry])
        self._take(entry, step)

    def _take(self, entry: Entry, step: Step) -> None:
        (number,) = numbers([entry])
        match step:
            case PutOff():
                self._pending[number] = replace(entry, steps=(*entry.steps, step))
            case Ended():
                del self._pending[number]
                self._ends.append(number)

    def _judge(self, chosen: Entry) -> None:
        (number,) = numbers([chosen])
        newer = [each for each in self._pending.values() if each.event.published > chosen.event.published]
        assert all(number > done for done in self._rebalanced), "nothing is carried out after a newer rebalance"
        assert not any(each.event.mode is chosen.event.mode for each in newer), "the newest wins"
        assert chosen.is_due(self._now)

    def _judge_dropped(self, dropped: Entry) -> None:
        """A rebalance gives way to nothing but a newer rebalance."""
        if dropped.event.mode is RunMode.REBALANCE:
            (number,) = numbers([dropped])
            others = [
                *self._rebalanced,
                *numbers([e for e in self._pending.values() if e.event.mode is RunMode.REBALANCE]),
            ]
            assert any(other > number for other in others), "a rebalance is never displaced by a dry run"
