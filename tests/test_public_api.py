"""The library as others use it: the three lines of its description, its names, and what it costs to import."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.commands import FIRST, SECOND, Here, here
from tests.support.reading import SOON_S, Notices, until
from tests.support.sandbox import events, fault, order_messages, received

import ibkr_rebalancer
from ibkr_rebalancer import (
    AllocationUnavailable,
    ConfigError,
    GatewayRefused,
    GatewayUnavailable,
    Plan,
    Rebalancer,
    RebalancerError,
    Report,
    Settings,
    UsageError,
)
from ibkr_rebalancer.core.errors import RebalancerError as Root
from ibkr_rebalancer.core.report import RunMode

__all__ = ["here"]

TYPED = {"dotenv", "requests", "rich", "typer", "yaml"}
"""What a command needs that reads settings and speaks HTTP."""
HEAVY = TYPED | {"ably", "aiohttp", "apprise", "ib_async", "msgpack", "numpy", "pandas", "sqlalchemy"}

TRADING_WORDS = ("place", "cancel", "order", "submit", "trade", "buy", "sell", "exercise")


def test_the_three_lines_of_the_description(here: Here) -> None:
    async def lines() -> tuple[Plan, Report]:
        async with Rebalancer.open(here.folder / "accounts.yaml") as rebalancer:
            plan = await rebalancer.plan("DU123456")
            report = await rebalancer.execute(plan)
        return plan, report

    plan, report = asyncio.run(lines())
    assert (plan.account, len(plan.trades)) == (FIRST, 9)
    assert (report.mode, report.outcome, report.exit_code) == (RunMode.DRY_RUN, "not-sent", 0)
    assert report.plan is plan
    assert not order_messages(here.sandbox.log)


@pytest.mark.usefixtures("here")
def test_the_plan_that_was_looked_at_is_the_one_that_is_sent() -> None:
    async def trade() -> tuple[Plan, Report]:
        async with Rebalancer.open() as rebalancer:
            plan = await rebalancer.plan(SECOND)
            return plan, await rebalancer.execute(plan, dry_run=False)

    plan, report = asyncio.run(trade())
    assert (report.mode, report.outcome, report.exit_code) == (RunMode.REBALANCE, "done", 0)
    planned = [(trade.side, trade.quantity, trade.symbol) for trade in plan.trades]
    assert [(order.side, order.filled, order.symbol) for order in report.orders] == planned


def test_no_plan_at_all_does_not_mean_every_account(here: Here) -> None:
    """Nor is it a guess which of two plans for one account is meant."""

    async def carry_out() -> None:
        async with Rebalancer.open() as rebalancer:
            plan = await rebalancer.plan(SECOND)
            for plans in ([], [plan, plan]):
                with pytest.raises(ValueError, match="one plan for each account"):
                    await rebalancer.carry_out(*plans)

    asyncio.run(carry_out())
    assert not order_messages(here.sandbox.log)


@pytest.mark.usefixtures("here")
def test_what_a_plan_is_made_with_cannot_trade() -> None:
    """The market view that the library hands to its flows has no method that could; nor has the session itself."""

    async def names() -> list[str]:
        async with Rebalancer.open() as rebalancer:
            market = await rebalancer._gateway()
            return [name for thing in (market, rebalancer) for name in dir(thing)]

    public = [name for name in asyncio.run(names()) if not name.startswith("_")]
    assert "quotes" in public
    assert [name for name in public if any(word in name.lower() for word in TRADING_WORDS)] == []


def test_a_session_connects_once_and_only_when_asked(here: Here) -> None:
    async def session() -> int:
        async with Rebalancer.open() as rebalancer:
            before = len(received(here.sandbox.log))
            await rebalancer.plan(FIRST)
            await rebalancer.plan(SECOND)
            await rebalancer.portfolios()
        return before

    assert asyncio.run(session()) == 0
    assert len(received(here.sandbox.log, "startApi")) == 1


@pytest.mark.usefixtures("here")
def test_two_plans_in_a_row_are_alike() -> None:
    async def plans() -> list[Plan]:
        async with Rebalancer.open() as rebalancer:
            return [await rebalancer.plan(FIRST) for _ in range(2)]

    first, second = asyncio.run(plans())
    assert first.trades == second.trades


@pytest.mark.usefixtures("here")
def test_settings_can_be_looked_at_and_handed_over() -> None:
    async def handed_over() -> Settings:
        async with Rebalancer.open() as first, Rebalancer.open(first.settings) as second:
            return second.settings

    settings = asyncio.run(handed_over())
    assert [account.account_id for account in settings.accounts] == [FIRST, SECOND]
    assert "sandbox-key" not in repr(settings)


@pytest.mark.usefixtures("here")
def test_an_observer_hears_what_goes_on() -> None:
    notices = Notices()

    async def plan() -> None:
        async with Rebalancer.open(observer=notices) as rebalancer:
            await rebalancer.plan(FIRST)

    asyncio.run(plan())
    assert [notice.event for notice in notices.heard][:2] == ["gateway.connect", "allocation.fetch"]


def test_accounts_of_the_other_mode_are_passed_over_with_a_notice(here: Here) -> None:
    here.accounts(here.entry("U1234567", "primary"), here.entry(SECOND, "secondary"))
    notices = Notices()

    async def accounts() -> list[str]:
        async with Rebalancer.open(observer=notices) as rebalancer:
            return list(await rebalancer.portfolios())

    assert asyncio.run(accounts()) == [SECOND]
    assert notices.texts[0] == "U1234567 is passed over: it is no paper account."


def test_errors_carry_code_sentence_and_hint(here: Here) -> None:
    async def plan(account: str) -> None:
        async with Rebalancer.open() as rebalancer:
            await rebalancer.plan(account)

    here.accounts(here.entry("DU999999", "primary"), here.entry(SECOND, "nowhere"))
    for account, kind in (("DU999999", GatewayRefused), (SECOND, AllocationUnavailable), ("DU1", UsageError)):
        with pytest.raises(kind) as failed:
            asyncio.run(plan(account))
        error = failed.value
        assert isinstance(error, RebalancerError)
        assert (error.code, str(error)) == (error.code.upper(), error.message)
        assert error.hint


def test_a_missing_file_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    async def opened() -> None:
        async with Rebalancer.open(tmp_path / "nowhere.yaml"):
            pass

    with pytest.raises(ConfigError, match=r"There is no .*nowhere\.yaml"):
        asyncio.run(opened())


def test_a_gateway_that_goes_away_is_an_error_of_the_question_that_meets_it(here: Here) -> None:
    """The next one after it has a new connection."""

    async def plans() -> Plan:
        async with Rebalancer.open() as rebalancer:
            await rebalancer.plan(FIRST)
            here.sandbox.kick()
            with pytest.raises(GatewayUnavailable):
                await rebalancer.plan(FIRST)
            return await rebalancer.plan(FIRST)

    assert asyncio.run(plans()).account == FIRST
    assert len(received(here.sandbox.log, "startApi")) == 2


def test_a_gateway_that_came_back_meanwhile_is_connected_anew(here: Here) -> None:
    """As after its nightly restart, in a session that stays open."""

    async def portfolios() -> None:
        async with Rebalancer.open() as rebalancer:
            market = await rebalancer._gateway()
            here.sandbox.kick()
            await until(lambda: not market.is_of_use)
            await rebalancer.portfolios()

    asyncio.run(portfolios())
    assert len(received(here.sandbox.log, "startApi")) == 2


def test_an_answer_that_never_ended_does_not_spoil_the_session(here: Here) -> None:
    """The question after it has a new connection, and the old one is left."""
    here.hurry(answer_s=SOON_S)
    here.sandbox.change({"faults": [fault("positionEnd", "drop", count=1)]})

    async def portfolios() -> None:
        async with Rebalancer.open() as rebalancer:
            with pytest.raises(GatewayUnavailable, match="did not deliver the position list"):
                await rebalancer.portfolios()
            await rebalancer.portfolios()
            await rebalancer.portfolios()

            here.sandbox.until(lambda log: len(events(log, "client_disconnected")) == 1)

    asyncio.run(portfolios())
    here.sandbox.until(lambda log: len(events(log, "client_disconnected")) == 2)


def test_a_lost_link_is_waited_for_on_the_same_connection(here: Here) -> None:
    async def portfolios() -> None:
        async with Rebalancer.open() as rebalancer:
            await rebalancer.portfolios()
            here.sandbox.notice(1100)
            with pytest.raises(GatewayUnavailable) as lost:
                await rebalancer.portfolios()
            assert lost.value.code == "LINK_DOWN"
            here.sandbox.notice(1102)
            await _answered(rebalancer)

    asyncio.run(portfolios())
    assert len(received(here.sandbox.log, "startApi")) == 1


def test_questions_asked_together_share_one_connection(here: Here) -> None:
    async def plans() -> list[Plan]:
        async with Rebalancer.open() as rebalancer:
            return list(await asyncio.gather(*(rebalancer.plan(account) for account in (FIRST, SECOND, FIRST))))

    assert [plan.account for plan in asyncio.run(plans())] == [FIRST, SECOND, FIRST]
    assert len(received(here.sandbox.log, "startApi")) == 1


async def _answered(rebalancer: Rebalancer) -> None:
    """Ask until there is an answer."""
    while True:
        with suppress(GatewayUnavailable):
            await rebalancer.portfolios()
            return
        await asyncio.sleep(0)  # a refusal takes no turn of the event loop


def test_the_public_names_are_there() -> None:
    names: dict[str, object] = {}
    exec("from ibkr_rebalancer import *", names)  # noqa: S102 (what a user may write)
    assert {name for name in names if name != "__builtins__"} == set(ibkr_rebalancer.__all__)
    errors = {name: value for name, value in names.items() if isinstance(value, type) and issubclass(value, Root)}
    assert set(errors) == {"RebalancerError", *(kind.__name__ for kind in Root.__subclasses__())}


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Trader'"):
        _ = ibkr_rebalancer.Trader


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import ibkr_rebalancer", set()),
        ("from ibkr_rebalancer import RebalancerError, Plan, Report", set()),
        ("from ibkr_rebalancer import Settings", {"dotenv", "yaml"}),
        ("from ibkr_rebalancer.cli import run; run(['--help'])", {"rich", "typer"}),
        ("from ibkr_rebalancer.cli import run; run(['plan', '--help'])", {"rich", "typer"}),
        ("from ibkr_rebalancer.cli import run; run(['accounts'])", TYPED),
        ("from ibkr_rebalancer.cli import run; run(['halt'])", TYPED | {"sqlalchemy"}),
        ("from ibkr_rebalancer.cli import run; run(['plan'])", TYPED | {"ib_async", "numpy"}),
        ("from ibkr_rebalancer.cli import run; run(['execute', '--yes'])", TYPED | {"ib_async", "numpy", "sqlalchemy"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(here: Here, code: str, allowed: set[str]) -> None:
    listing = f"import sys; {code}; print('MODULES', *sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True, env=here.environment
    ).stdout
    loaded = {name.partition(".")[0] for name in output.rpartition("MODULES")[2].split()}
    assert loaded & HEAVY <= allowed
