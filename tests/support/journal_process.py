"""Another process at work on a journal: `python -m tests.support.journal_process DEED FOLDER`.

`write` intends one order after the other, and tells each once it is kept; `keep` does so with events for two accounts;
`hold` holds the account until standard input ends, `watch` is the one that watches until then, and `heed` acknowledges
a halt besides. All say `ready` first. A RebalancerError is told as its code, and ends them.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.support.events import event
from tests.support.journal import ACCOUNT, OTHER, begin, intent, opened
from tests.support.notation import NOW

from ibkr_rebalancer.core.errors import RebalancerError

ROOT = Path(__file__).parents[2]


class Process:
    """The process, seen from the test."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        assert popen.stdout
        self.pid = popen.pid
        self._popen = popen
        self._stdout = popen.stdout.fileno()
        self._heard = b""

    def lines(self, number: int) -> list[str]:
        """The next lines it says; fewer when it has ended."""
        while self._heard.count(b"\n") < number and self._hear():
            pass
        return self._take(number)

    def said_meanwhile(self) -> list[str]:
        """What it has said since, without waiting for more; to be asked while it is frozen."""
        while select.select([self._stdout], [], [], 0)[0] and self._hear():
            pass
        return self._take(self._heard.count(b"\n"))

    def end(self, by: int = signal.SIGKILL) -> list[str]:
        """End it by a signal; all that it still had said."""
        self._popen.send_signal(by)
        while self._hear():
            pass
        self._popen.wait()
        return self._take(self._heard.count(b"\n"))

    def _hear(self) -> bool:
        heard = os.read(self._stdout, 65536)
        self._heard += heard
        return bool(heard)

    def _take(self, number: int) -> list[str]:
        *lines, rest = self._heard.split(b"\n", number)
        self._heard = rest
        return [line.decode() for line in lines]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it in the middle of whatever it does, as a loss of power would, and let it go on after the block."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)
        yield
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def process(deed: str, folder: Path, *, under: Sequence[str] = ()) -> Iterator[Process]:
    """The process, ready; `under` is a command that is to start it."""
    command = [*under, sys.executable, "-m", "tests.support.journal_process", deed, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, bufsize=0) as popen:
        started = Process(popen)
        try:
            yield started
        finally:
            started.end()


def _write(folder: Path) -> None:
    """Orders of a run of its own, numbered on from those that are there."""
    with opened(folder) as journal:
        first = len(journal.orders(ACCOUNT, since=NOW)) + 1
        begin(journal, f"run from {first}")
        _say("ready")
        for number in count(first):
            journal.intend(intent(number, run_id=f"run from {first}"))
            _say(intent(number).order_ref)


def _keep(folder: Path) -> None:
    """Events numbered on from those that are pending."""
    with opened(folder) as journal:
        first = len(journal.inbox.pending()) // 2 + 1
        _say("ready")
        for number in count(first):
            journal.inbox.keep(event(number), [ACCOUNT, OTHER])
            _say(event(number).event_id)


def _watch(folder: Path) -> None:
    with opened(folder) as journal, journal.watch():
        _say("ready")
        sys.stdin.read()


def _heed(folder: Path) -> None:
    with opened(folder) as journal, journal.watch():
        _say("ready")
        while (halt := journal.halted()) is None:
            select.select([sys.stdin], [], [], 0.02)
        journal.acknowledge(halt)
        sys.stdin.read()


def _hold(folder: Path) -> None:
    with opened(folder) as journal, journal.hold(ACCOUNT):
        _say("ready")
        sys.stdin.read()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        {"write": _write, "keep": _keep, "hold": _hold, "watch": _watch, "heed": _heed}[sys.argv[1]](Path(sys.argv[2]))
    except RebalancerError as error:
        _say(error.code)
