"""A checkup of an installation as a library: everything a run depends on is asked for, and told in findings."""

import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ibkr_rebalancer.app import Targets
from ibkr_rebalancer.config.loading import find_state, load_gateway, load_settings, settings_files
from ibkr_rebalancer.config.settings import Gateway, Settings, realtime_key
from ibkr_rebalancer.core.doctor import (
    Check,
    EventAccess,
    Finding,
    exit_code,
    grave_for,
    in_order,
    on_address,
    on_disk,
    on_file,
    problem,
    warning,
    well,
)
from ibkr_rebalancer.core.errors import ConfigError, GatewayRefused, Halted, RebalancerError, UnknownOutcome
from ibkr_rebalancer.core.notices import Notice, Severity
from ibkr_rebalancer.core.order_book import OrderBook
from ibkr_rebalancer.core.orders import OrderIntent
from ibkr_rebalancer.core.policy import Account, select_accounts
from ibkr_rebalancer.core.portfolio import AccountId, TradingMode, belongs_to
from ibkr_rebalancer.edges.host import SystemClock, free_bytes
from ibkr_rebalancer.flows.doctor import World, ask_world
from ibkr_rebalancer.ports import MarketView, Observer, OrderDesk, WhatIf

if TYPE_CHECKING:  # what it stands on is heavy
    from ibkr_rebalancer.edges.journal.journal import Journal

Known = Callable[[Collection[str]], Collection[str]]

PREVIEWER = 9
"""Added to the configured client id by whoever asks about orders, and previews one: the last of the readers' ids, which
they hardly come to."""


async def check_up(
    settings: Settings | ConfigError,
    *named: str,
    path: Path | None = None,
    state: Path | None = None,
    observer: Observer,
) -> tuple[Finding, ...]:
    """What is found out about this installation, for the named accounts, or all enabled ones of the trading mode.

    `settings` are what could be read of them, from the accounts.yaml at `path` or in its usual places; without them
    the journal and the gateway are asked all the same. `state` names the journal's folder. The state folder is made
    if it is missing, as every command does; nothing else is changed, and nothing is traded.

    Raises:
        UsageError, GatewayRefused: a named account is not one that can be worked on.
    """
    steps = _Steps(observer)
    found = _on_files(settings, path)
    if isinstance(settings, ConfigError):
        found.append(problem(Check.CONFIGURATION, settings))
        try:
            mode, gateway = load_gateway(path, environ=os.environ, cwd=Path.cwd())
            folder = find_state(path, environ=os.environ, cwd=Path.cwd(), state=state)
        except ConfigError as error:
            return in_order([*found, *([] if error.code == settings.code else [problem(Check.CONFIGURATION, error)])])
        found += _on_state(folder, mode, observer=steps)
        return in_order([*found, *await _asked((), mode, gateway, None, None, steps)])
    mode = settings.mode
    found += _on_settings(settings)
    accounts, on_them = _selected(settings, named)
    on_state = _on_state(settings.state_path, mode, observer=steps)
    known = _knower(settings.state_path, on_state, observer=steps)
    found += [*on_them, *on_state]
    return in_order([*found, *await _asked(accounts, mode, settings.gateway, settings, known, steps)])


def read_settings(path: Path | None, *, state: Path | None = None) -> Settings | ConfigError:
    """The settings of this process, or why there are none."""
    try:
        return load_settings(path, environ=os.environ, cwd=Path.cwd(), state=state)
    except ConfigError as error:
        return error


class _Steps:
    """Lets progress through. What is odd becomes a finding, and need not be told twice."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def notify(self, notice: Notice) -> None:
        if notice.severity is Severity.STEP:
            self._observer.notify(notice)


def _on_settings(settings: Settings) -> list[Finding]:
    count = len(settings.accounts)
    text = f"{settings.config_path} lists {count} account{'' if count == 1 else 's'}; trading is {settings.mode.value}."
    doubts = [warning(Check.CONFIGURATION, _doubt(sentence)) for sentence in settings.doubts]
    try:
        realtime_key(settings)
    except ConfigError as error:  # without events, plan and execute do their work
        doubts.append((problem if settings.realtime.api_key else warning)(Check.EVENTS, error))
    return [well(Check.CONFIGURATION, text), *doubts, *on_address(settings.gateway.host)]


def _doubt(sentence: str) -> ConfigError:
    return ConfigError("CONFIG_DOUBTFUL", sentence, hint="Correct it, so that nobody has to guess what is meant.")


def _on_files(settings: Settings | ConfigError, path: Path | None) -> list[Finding]:
    accounts = settings.accounts if isinstance(settings, Settings) else ()
    own_keys = [account.api_key_env for account in accounts]
    try:
        files = settings_files(path, environ=os.environ, cwd=Path.cwd(), own_keys=own_keys)
    except (ConfigError, OSError):  # whoever reads them says why
        return []
    return [on_file(file) for file in files]


def _selected(settings: Settings, named: Sequence[str]) -> tuple[Sequence[Account], list[Finding]]:
    """The accounts to ask about, and what is to be said of the others."""
    kind = settings.mode.value
    others = [a for a in settings.accounts if a.enabled and not belongs_to(settings.mode, a.account_id)]
    passed_over = [
        warning(
            Check.ACCOUNTS,
            GatewayRefused(
                "MODE_MISMATCH",
                f"It is passed over: it is no {kind} account, and TRADING_MODE is {kind}.",
                hint="Set enabled: false for it, or keep it in a file of its own.",
            ),
            account.account_id,
        )
        for account in others
        if not named
    ]
    try:
        chosen = select_accounts(settings.accounts, named, mode=settings.mode, file=settings.config_path.name)
    except RebalancerError as error:
        if named:
            raise
        return (), [*passed_over, problem(Check.ACCOUNTS, error)]
    return chosen, passed_over


def _on_state(folder: Path, mode: TradingMode, *, observer: Observer) -> list[Finding]:
    """What the journal and the folder it is in are like."""
    from ibkr_rebalancer.edges.journal.folder import doubts
    from ibkr_rebalancer.edges.journal.opening import open_journal

    found = []
    observer.notify(Notice(event="state.find", text=f"Checking the journal in {folder}"))
    try:
        with open_journal(folder, mode=None, clock=SystemClock(), observer=observer) as journal:
            found += _on_journal(journal, folder)
    except RebalancerError as error:
        found.append(problem(Check.JOURNAL, error))
    try:
        found.append(on_disk(free_bytes(folder), str(folder)))
        exposed = [ConfigError("INSECURE_PATH", f"{text}.", hint=hint) for text, hint in doubts(folder)]
    except OSError:  # there is no folder, and the journal has said why
        return found
    found += [grave_for(mode, Check.STATE, error) for error in exposed]
    if not exposed:
        found.append(well(Check.STATE, f"{folder} is private, and on a disk of this machine."))
    return found


def _on_journal(journal: "Journal", folder: Path) -> list[Finding]:
    """A journal that can be read and written whole, and what it says of trading."""
    history = "new: nothing has been done with it before" if journal.is_new else "whole, and can be written"
    found = [well(Check.JOURNAL, f"The journal in {folder} is {history}.")]
    halt = journal.halted()
    if halt is None:
        found.append(well(Check.HALT, "Trading is not halted."))
    else:
        text = f"Trading has been halted since {halt.at:%Y-%m-%d %H:%M} UTC: {halt.reason}."
        error = Halted("HALTED", text, hint="When the reason is gone, run: rebalancer resume")
        found.append(problem(Check.HALT, error))
    open_orders = [order.intent.order_ref for order in journal.unsettled()]
    if open_orders:
        unknown = UnknownOutcome(
            "ORDER_UNKNOWN",
            f"These orders of ours have no outcome yet: {', '.join(open_orders)}.",
            hint="If no run is at work, the next one finds out what became of them, or says how to tell it.",
        )
        found.append(warning(Check.ORDERS, unknown))
    else:
        found.append(well(Check.ORDERS, "Every order in the journal has an outcome."))
    return found


def _knower(folder: Path, on_state: Sequence[Finding], *, observer: Observer) -> Known | None:
    """The question which orders the journal has, if it can be read."""
    from ibkr_rebalancer.edges.journal.opening import open_journal

    if exit_code(finding for finding in on_state if finding.check is Check.JOURNAL):
        return None

    def known(order_refs: Collection[str]) -> Collection[str]:
        if not order_refs:
            return ()
        with open_journal(folder, mode=None, clock=SystemClock(), observer=observer) as journal:
            return journal.known(order_refs)

    return known


async def _asked(
    accounts: Sequence[Account],
    mode: TradingMode,
    at: Gateway,
    settings: Settings | None,
    known: Known | None,
    observer: Observer,
) -> list[Finding]:
    """What the world answers; without settings there are no accounts, and only the gateway is asked."""
    from ibkr_rebalancer.edges.ibkr.connection import open_desk, open_gateway

    clock, client_id = SystemClock(), at.client_id + PREVIEWER
    async with AsyncExitStack() as connection:

        async def gateway() -> MarketView:
            view = open_gateway(host=at.host, port=at.port, client_id=at.client_id, clock=clock, observer=observer)
            return await connection.enter_async_context(view)

        desks: list[OrderDesk] = []

        async def desk() -> OrderDesk:
            if not desks:  # once: a gateway may take a client id for busy that has just gone
                opening = open_desk(host=at.host, port=at.port, client_id=client_id, clock=clock, observer=observer)
                desks.append((await connection.enter_async_context(opening)).desk)
            return desks[0]

        async def preview(intent: OrderIntent) -> WhatIf:
            return await (await desk()).what_if(intent)

        async def order_book(account: AccountId) -> OrderBook:
            return await (await desk()).order_book(account)

        world = World(
            gateway=gateway,
            preview=preview,
            order_book=order_book,
            known=known,
            client_id=client_id,
            source=Targets(settings.allocations_api_keys if settings else {}),
            events=_trier(settings) if settings else None,
            clock=clock,
            observer=observer,
        )
        return await ask_world(accounts, mode, world)


def _trier(settings: Settings) -> Callable[[Collection[str]], Awaitable[EventAccess]] | None:
    """The question what the key may do with channels, if there is a key that a watch would use."""
    try:
        api_key = realtime_key(settings)
    except ConfigError:
        return None

    async def tried(channels: Collection[str]) -> EventAccess:
        from ibkr_rebalancer.edges.ably.access import try_channels

        endpoint = settings.realtime.endpoint
        return await try_channels(channels, api_key=api_key, endpoint=endpoint, clock=SystemClock())

    return tried
