"""The first steps of an installation as a library: its accounts asked of the gateway, and its first files written."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ibkr_rebalancer.config.first_files import accounts_text, env_text, write_new
from ibkr_rebalancer.config.loading import DOTENV, load_gateway
from ibkr_rebalancer.config.settings import Gateway
from ibkr_rebalancer.core.errors import RebalancerError, UsageError
from ibkr_rebalancer.core.notices import Notice
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode, belongs_to
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.ports import Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What the gateway says about whom it is logged in for."""

    mode: TradingMode
    gateway: Gateway
    accounts: tuple[AccountId, ...]
    """Of the mode; none if it could not be asked."""
    passed_over: tuple[AccountId, ...]
    """Of the other mode."""
    trouble: RebalancerError | None
    """Why it could not be asked."""


async def ask_gateway(path: Path, *, options: Mapping[str, str], observer: Observer) -> Login:
    """Ask the gateway for its accounts; `options` are variables that beat those of the environment and .env.

    Raises:
        ConfigError: one of them is wrong.
    """
    from ibkr_rebalancer.edges.ibkr.connection import open_gateway

    mode, at = load_gateway(path, environ={**os.environ, **options}, cwd=Path.cwd())
    observer.notify(Notice(event="gateway.connect", text=f"Connecting to {at.host}:{at.port}"))
    managed: tuple[AccountId, ...] = ()
    trouble = None
    try:
        async with open_gateway(
            host=at.host, port=at.port, client_id=at.client_id, clock=SystemClock(), observer=observer
        ) as market:
            managed = await market.managed_accounts()
    except RebalancerError as error:
        trouble = error
    return Login(
        mode=mode,
        gateway=at,
        accounts=tuple(account for account in managed if belongs_to(mode, account)),
        passed_over=tuple(account for account in managed if not belongs_to(mode, account)),
        trouble=trouble,
    )


def missing_files(path: Path) -> tuple[Path, ...]:
    """Those of accounts.yaml and the .env beside it that are not there yet.

    Raises:
        UsageError: none is missing (`OUTPUT_FAILED`).
    """
    files = (path, path.with_name(DOTENV))
    missing = tuple(file for file in files if not os.path.lexists(file))
    if not missing:
        raise UsageError(
            "OUTPUT_FAILED",
            f"{files[0]} and {files[1]} are there already; they were left as they are.",
            hint="Check them with rebalancer doctor; to begin anew, move them away.",
        )
    return missing


def write_files(missing: tuple[Path, ...], login: Login, keys: Mapping[str, str]) -> None:
    """Write the files that are missing, readable for their owner alone; `keys` are the secrets that are known.

    Raises:
        UsageError: one of them cannot be written, or somebody else has just done so (`OUTPUT_FAILED`).
    """
    at = login.gateway
    values = {"TRADING_MODE": login.mode.value, "IBKR_HOST": at.host, "IBKR_PORT": str(at.port)}
    for file in missing:
        write_new(file, env_text({**values, **keys}) if file.name == DOTENV else accounts_text(login.accounts))
