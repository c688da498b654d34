"""Something worth telling a person while a command works. Progress, logs and notifications are folds of these."""

from dataclasses import dataclass
from enum import Enum

from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report


class Severity(Enum):
    """How much attention a notice deserves."""

    STEP = "step"
    """Progress: true for a moment."""
    WARNING = "warning"
    """Worth reading afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNews:
    """What came of a run, or of an event before it came to one: what a notice about it knows besides its sentence."""

    trigger: str
    """What asked for it: `command`, or the id of an event."""
    exit_code: int
    code: str
    """The reason code; empty if all went well."""
    hint: str
    """What to do about it; empty if nobody has said."""
    report: Report | None
    """None when no run began, or its report is not at hand."""
    is_put_off: bool = False
    """Whether the event is carried out again later, without anybody doing anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that happened; `event` is a stable `noun.verb`, `text` a sentence without a secret in it."""

    event: str
    text: str
    account: AccountId | None = None
    severity: Severity = Severity.STEP
    news: RunNews | None = None

    @property
    def line(self) -> str:
        """The text for those who read what several accounts do at the same time: it names the account it is about."""
        return self.text if self.account is None or self.account in self.text else f"{self.account}: {self.text}"
