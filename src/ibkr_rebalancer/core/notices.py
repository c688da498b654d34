"""Something worth telling a person while a command works. Progress, logs and notifications are folds of these."""

from dataclasses import dataclass
from enum import Enum

from ibkr_rebalancer.core.portfolio import AccountId


class Severity(Enum):
    """How much attention a notice deserves."""

    STEP = "step"
    """Progress: true for a moment."""
    WARNING = "warning"
    """Worth reading afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that happened; `event` is a stable `noun.verb`, `text` a sentence without a secret in it."""

    event: str
    text: str
    account: AccountId | None = None
    severity: Severity = Severity.STEP

    @property
    def line(self) -> str:
        """The text for those who read what several accounts do at the same time: it names the account it is about."""
        return self.text if self.account is None or self.account in self.text else f"{self.account}: {self.text}"
