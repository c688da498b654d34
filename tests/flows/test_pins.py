"""What a name meant when it was traded on is remembered, and a name that means something else trades nothing."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.flows.test_trading import SWITCH, play, reported
from tests.support.trading_scene import OPEN, RENAMED, TradingScene

from ibkr_rebalancer.core.errors import Deferred, Refused
from ibkr_rebalancer.core.instruments import ConId, ContractQuery
from ibkr_rebalancer.core.policy import Policy
from ibkr_rebalancer.edges.journal.journal import Journal

BBB = ContractQuery(symbol="BBB")


def pinned(scene: TradingScene) -> Mapping[ContractQuery, ConId]:
    with scene.ports({}) as ports:
        return ports.ledger.pinned()


def test_a_run_that_trades_pins_what_its_names_mean(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)
        reported(await scene.rebalance(SWITCH))
        assert pinned(scene) == {BBB: ConId(102)}

    play(story())


def test_a_run_that_sends_nothing_pins_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path, market={**OPEN, "BBB": {"hours": "closed"}})
        assert isinstance(await scene.rebalance(SWITCH), Deferred)
        assert pinned(scene) == {}

    play(story())


def test_what_the_owner_names_by_its_number_is_not_looked_up_by_name(tmp_path: Path) -> None:
    async def story() -> None:
        scene = TradingScene(tmp_path)
        numbered = Policy(contracts={"BBB": ContractQuery(symbol="BBB", con_id=ConId(102))})
        assert reported(await scene.rebalance(SWITCH, policy=numbered)).outcome == "done"
        assert pinned(scene) == {}

    play(story())


@pytest.mark.parametrize("forgets", [False, True])
def test_a_name_that_means_another_contract_now_trades_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgets: bool
) -> None:
    """A journal that forgets its pins is the mistake that shows."""

    async def story() -> None:
        scene = TradingScene(tmp_path)
        reported(await scene.rebalance(SWITCH))
        sent = len(scene.orders)
        scene.change(**RENAMED)
        if forgets:
            monkeypatch.setattr(Journal, "pinned", lambda _: {})
        outcome = await scene.rebalance(SWITCH)
        assert (len(scene.orders) > sent) is forgets
        assert (isinstance(outcome, Refused) and outcome.code == "CONTRACT_CHANGED") is not forgets

    play(story())
