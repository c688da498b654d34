"""A watch whose loop turns says so, also while it brings orders to a known end: its supervisor waits for that."""

import asyncio
from itertools import pairwise
from pathlib import Path

from tests.flows.test_interruption import SWITCH, play
from tests.support.events import event
from tests.support.sandbox import order_fault
from tests.support.trading_scene import DU1, TradingScene, account
from tests.support.watch_scene import Channel

from ibkr_rebalancer.flows.trading import Occasion
from ibkr_rebalancer.flows.watch import LOOK_S, Watch


def test_it_beats_from_the_start_to_the_end_of_the_last_order(tmp_path: Path) -> None:
    async def story() -> None:
        holdings = {"DU1": {"cash": "10000", "positions": {"AAA": 100}}}
        scene = TradingScene(tmp_path, accounts=holdings, faults=[order_fault("hold")])
        time = asyncio.get_running_loop().time
        beats: list[float] = []
        with scene.ports({"DU1": SWITCH}) as ports:
            assert scene.journal is not None
            watch = Watch(
                [account()],
                Occasion(mode=scene.mode, code_version="test"),
                ports,
                events=Channel(scene.ours.now),
                inbox=scene.journal.inbox,
                tell=lambda _: None,
                beat=lambda: beats.append(time()),
                redact=str,
                dry_run=False,
            )
            scene.journal.inbox.keep(event(), [DU1])
            running = asyncio.ensure_future(watch.run())
            await asyncio.sleep(90)  # its event comes after a minute
            scene.gateway.back_after_s = 19
            scene.gateway.line.interrupt()  # nothing can be proven until it is back, and it is waited for
            running.cancel()
            told, _ = time(), await asyncio.wait([running])
            assert scene.orders == ["SELL 100 AAA"]
            assert time() - told > 2 * LOOK_S, "it had nothing to bring to an end"
            assert max(after - before for before, after in pairwise([0, *beats, time()])) <= LOOK_S

    play(story())
