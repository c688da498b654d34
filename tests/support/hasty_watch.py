"""`rebalancer watch` with little patience: `python -m tests.support.hasty_watch --json`.

The product as it is, but an order that is nowhere is proven absent after a second, where the product takes half a
minute: a process that is killed between two sends leaves such orders. And history is read every second.
"""

import sys
from dataclasses import replace
from functools import partial

from ibkr_rebalancer import app
from ibkr_rebalancer.cli import run
from ibkr_rebalancer.core.order_state import order_state
from ibkr_rebalancer.edges.ably.deadlines import DEADLINES
from ibkr_rebalancer.edges.ably.source import AblyEvents
from ibkr_rebalancer.flows.reconcile import PATIENCE
from ibkr_rebalancer.flows.watch import Watch

ABSENCE_S = 1.0
"""Whole seconds: the gateway tells the time of a look no finer."""

if __name__ == "__main__":
    AblyEvents.__init__.__kwdefaults__ = {"deadlines": replace(DEADLINES, history_every_s=1.0)}
    order_state.__kwdefaults__ = {"absence_s": ABSENCE_S}
    setattr(app, "Watch", partial(Watch, patience=replace(PATIENCE, absence_s=ABSENCE_S + 0.1)))  # noqa: B010
    sys.exit(run(["watch", *sys.argv[1:]]))
