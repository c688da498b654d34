"""The first accounts.yaml and .env of an installation: the words of the examples, with what is known filled in.

What is not known stays empty. Nothing empty is taken for a setting, so the next command names each place, and what
belongs there.
"""

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path

from ibkr_rebalancer.config.keys import Key, Section
from ibkr_rebalancer.config.schema import ACCOUNT, ENVIRONMENT
from ibkr_rebalancer.core.errors import UsageError
from ibkr_rebalancer.core.portfolio import AccountId

PRIVATE = 0o600

HEADER = """\
# The accounts that are rebalanced. Enter what is still missing: it says TO FILL IN.
# Misspelt keys are errors. Secrets do not belong here, but into .env beside this file.
"""

MORE = "  # All that follows may be left out"
"""Where the example begins to tell of keys that have defaults; they belong to the last account."""

FOREIGN = ("IBKR_USERNAME", "IBKR_PASSWORD")
"""Variables of the example that others read."""


def accounts_text(accounts: Sequence[AccountId]) -> str:
    """An accounts.yaml that lacks only what the owner of these accounts knows; without any, also the account's id."""
    entries = [_entry(account) for account in accounts] or [_entry(None)]
    example = _example("first_accounts.yaml")
    return "\n".join([HEADER, *entries, example[example.index(MORE) :]])


def env_text(values: Mapping[str, str]) -> str:
    """A .env with these values, and the defaults of the others; every secret that is not among them is empty."""
    unknown = dict.fromkeys([*FOREIGN, *(name for name, key in ENVIRONMENT.items() if key.secret)], "")
    text = re.sub(
        r"\A# Copy to .*\n", "# Nobody but its owner may read this file: chmod 600 .env\n", _example("first_env")
    )
    lines = {name: f"{name}={_quoted(value)}" for name, value in {**unknown, **values}.items()}
    return "".join(f"{lines.get(line.partition('=')[0], line)}\n" for line in text.splitlines())


def write_new(path: Path, text: str) -> None:
    """Write a file that only its owner may read, where there is nothing yet.

    Raises:
        UsageError: there is something, or it cannot be written (`OUTPUT_FAILED`); nothing of it is left.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), PRIVATE)  # whatever the umask
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(
            "OUTPUT_FAILED",
            f"{path} cannot be written: {error.strerror}.",
            hint="Name a place in a folder that is there, that you may write to and that has room.",
        ) from error


def _entry(account: AccountId | None) -> str:
    to_fill_in = partial(_meaning, ACCOUNT)
    lines = (
        (f'- account_id: "{account or ""}"', "" if account else f"TO FILL IN: {to_fill_in('account_id')}"),
        ("  notification:", ""),
        ('    channel: ""', f"TO FILL IN: {to_fill_in('notification', 'channel')}"),
        ("  allocations:", ""),
        ('    url: ""', f"TO FILL IN: {to_fill_in('allocations', 'url')}"),
    )
    return "".join(f"{line:<36}  # {comment}\n" if comment else f"{line}\n" for line, comment in lines)


def _meaning(section: Section, name: str, *below: str) -> str:
    """What a key of accounts.yaml is, in the schema's words."""
    match section.keys[name]:
        case Key(meaning=meaning):
            return meaning
        case Section() as inner:
            return _meaning(inner, *below)
        case _:
            raise KeyError(name)


def _example(name: str) -> str:
    return (resources.files("ibkr_rebalancer") / "examples" / name).read_text(encoding="utf-8")


def _quoted(value: str) -> str:
    """A value as a line of .env holds it; in single quotes where anything in it could mean something there."""
    if re.fullmatch(r"[A-Za-z0-9._:/+=@%-]*", value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
