"""How a command opens the library: settings read, logs set up with their secrets out, progress shown."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from ibkr_rebalancer.app import Rebalancer, settings_from
from ibkr_rebalancer.cli.progress import Progress
from ibkr_rebalancer.config.settings import Settings
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.edges.logs import configure_logging
from ibkr_rebalancer.ports import Observer
from ibkr_rebalancer.records import Records

T = TypeVar("T")


def in_session(
    work: Callable[[Rebalancer], Awaitable[T]], config: Path | None, *, state: Path | None = None, verbose: bool
) -> T:
    """Do one piece of work in a session of its own, showing its progress on standard error.

    Raises:
        ConfigError: accounts.yaml or the environment is wrong.
    """
    return asyncio.run(_in_session(work, read_settings(config, state=state, verbose=verbose), verbose=verbose))


def on_journal(work: Callable[[Records], T], config: Path | None, *, state: Path | None, verbose: bool) -> T:
    """Do one piece of work that asks nobody but the journal; it needs no accounts.yaml, and so knows no LOG_LEVEL.

    Raises:
        ConfigError: it is in doubt where the journal is.
        StorageFailed: the journal cannot be trusted or written.
    """
    configure_logging("INFO" if verbose else "WARNING", secrets=())
    with Progress(as_log=verbose) as progress, Records.open(config, state=state, observer=progress) as records:
        return work(records)


async def _in_session(work: Callable[[Rebalancer], Awaitable[T]], settings: Settings, *, verbose: bool) -> T:
    with Progress(as_log=verbose) as progress:
        tell_settings(settings, progress)
        async with Rebalancer.open(settings, observer=progress) as rebalancer:
            return await work(rebalancer)


def read_settings(
    config: Path | None, *, state: Path | None = None, verbose: bool, log_as_json: bool = False
) -> Settings:
    """The settings, with logging set up as they say; `verbose` logs every step whatever LOG_LEVEL is.

    Raises:
        ConfigError: accounts.yaml or the environment is wrong.
    """
    settings = settings_from(config, state=state)
    level = "INFO" if verbose else settings.log_level
    configure_logging(level, secrets=settings.secrets, as_json=log_as_json)
    return settings


def tell_settings(settings: Settings, observer: Observer) -> None:
    """Where the settings come from, and what in them is hardly meant."""
    for warning in settings.warnings:
        observer.notify(Notice(event="settings.doubt", text=warning, severity=Severity.WARNING))
    observer.notify(Notice(event="state.find", text=f"State in {settings.state_path}"))
    observer.notify(Notice(event="settings.read", text=f"Settings from {settings.config_path}"))
