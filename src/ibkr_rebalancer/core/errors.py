"""The errors a person meets: one class per exit code, the sentence written where the fact is known.

RebalancerError
├── UnknownOutcome         13  nobody can say what became of an order
├── Halted                 14  somebody, or a limit, has stopped all trading
├── StorageFailed          30  the journal cannot be read or written
├── Deferred               10  not now, and it says when, or that it was told to stop
├── Refused                11  a limit or check says no
├── Busy                   15  another run, or all our client ids, are at work
├── GatewayUnavailable     20  the gateway cannot be reached or does not answer whole
├── GatewayRefused         21  the gateway answers, and the answer is no
├── AllocationUnavailable  23  the targets could not be fetched
├── AllocationRejected     24  the targets were fetched, and cannot be trusted
├── UsageError              2  the command was called wrongly, or has nowhere to print to
└── ConfigError            78  accounts.yaml or the environment is wrong
"""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

EXIT_DONE = 0
EXIT_PARTIAL = 12
"""A run ended with orders unfilled, all of them proven; running again is safe."""
EXIT_BUG = 70

NOT_HALTED = "TRADING IS NOT HALTED: end the processes that trade."
"""What every failure of a halt says."""

GRAVEST_FIRST = (13, 14, EXIT_PARTIAL, 30, EXIT_BUG, 78, 2, 20, 21, 23, 24, 11, 15, 10, EXIT_DONE)
"""Every exit code of the program, the one that needs a person soonest first."""


class RebalancerError(Exception):
    """Something a person has to know: `code` is stable, `message` has the values, `hint` says what to do."""

    exit_code: ClassVar[int]

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class UnknownOutcome(RebalancerError):
    """An order may have been executed or not; nothing more is sent for the account until a person has looked."""

    exit_code = 13


class Halted(RebalancerError):
    """Trading is halted, and stays so until it is resumed."""

    exit_code = 14


class StorageFailed(RebalancerError):
    """The journal cannot be trusted or written; without it nothing may be sent."""

    exit_code = 30


class Deferred(RebalancerError):
    """Not now: the market is closed, or somebody has said stop before anything was sent for the account."""

    exit_code = 10

    def __init__(
        self, code: str, message: str, *, hint: str, until: datetime | None = None, closed_at: datetime | None = None
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.until = until
        """When the market opens next, aware UTC, if that is what it waits for and the gateway told."""
        self.closed_at = closed_at
        """When the last session ended, if the gateway told."""


class Refused(RebalancerError):
    """A limit or check of ours says no; nothing was sent."""

    exit_code = 11


class Busy(RebalancerError):
    """Somebody else holds what we need; the same command may succeed later."""

    exit_code = 15


class GatewayUnavailable(RebalancerError):
    """The gateway is down, silent, cut off, or answered only in part."""

    exit_code = 20


class GatewayRefused(RebalancerError):
    """The gateway, or the account behind it, says no and will go on saying so."""

    exit_code = 21


class AllocationUnavailable(RebalancerError):
    """The allocation source could not be read."""

    exit_code = 23


class AllocationRejected(RebalancerError):
    """The allocation document was read and fails a check; the whole of it is refused."""

    exit_code = 24


class UsageError(RebalancerError):
    """The command line asks for something that does not exist or does not fit together, or its output for room."""

    exit_code = 2


class ConfigError(RebalancerError):
    """A setting is missing, misspelt or out of range."""

    exit_code = 78


def gravest(exit_codes: Iterable[int]) -> int:
    """The exit code that speaks for several accounts."""
    return min(exit_codes, key=GRAVEST_FIRST.index, default=EXIT_DONE)
