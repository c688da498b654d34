"""What is wrong with a file: found all at once, each with its line and its mend, and told in one error."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ibkr_rebalancer.core.errors import ConfigError

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, in one place."""

    line: int
    """Counted from 1."""
    code: str
    sentence: str
    hint: str


class Unfit(Exception):
    """A file, or a part of one, that cannot be used; it carries every finding there is, at least one."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(*findings)
        self.findings = tuple(findings)


def unfit(line: int, code: str, sentence: str, *, hint: str) -> Unfit:
    """A single finding, to be raised."""
    return Unfit([Finding(line=line, code=code, sentence=sentence, hint=hint)])


def each(read: Callable[[A], B], things: Iterable[A]) -> list[B]:
    """Read every one of `things`, also after one that is unfit, and raise all findings together.

    Raises:
        Unfit: at least one of them is.
    """
    read_ones: list[B] = []
    findings: list[Finding] = []
    for thing in things:
        try:
            read_ones.append(read(thing))
        except Unfit as trouble:
            findings += trouble.findings
    if findings:
        raise Unfit(findings)
    return read_ones


def shown(text: str) -> str:
    """A value in a sentence of ours: quoted, printable and short."""
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


def as_error(findings: Sequence[Finding], path: Path) -> ConfigError:
    """The findings as a person meets them, in the order of the file; the first one gives the code."""
    first, *others = sorted(findings, key=lambda finding: finding.line)
    if not others:
        return ConfigError(first.code, f"{path}:{first.line}: {first.sentence}", hint=first.hint)
    told = "\n".join(f"{path}:{finding.line}: {finding.sentence} {finding.hint}" for finding in (first, *others))
    return ConfigError(first.code, told, hint=f"Correct these {len(others) + 1} places in {path.name}.")
