"""Every row of the table of codes about orders, met by the real client: one sandbox says them all."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from tests.support.broker_words import CANCELED, ROWS, words_of
from tests.support.desk import evidence_of, heard_until, intent, trading
from tests.support.sandbox import order_fault, sandbox_with

from ibkr_rebalancer.core.errors import GatewayRefused, RebalancerError, Refused
from ibkr_rebalancer.core.evidence import ErrorTold, StatusTold
from ibkr_rebalancer.core.order_book import Heard
from ibkr_rebalancer.core.order_codes import OrderCode, OrderEffect, readable
from ibkr_rebalancer.core.order_state import ENDED, OrderState, OrderStatus, TrackedOrder, order_state, remedy_for
from ibkr_rebalancer.edges.ibkr.orders import GatewayOrders
from ibkr_rebalancer.sandbox.venue.document import Document

pytestmark = pytest.mark.xdist_group("refusals")  # what they look at is made once

INTENTS = {name: intent(number, quantity=1) for number, name in enumerate(ROWS, 1)}
"""An order for each row, that meets it."""
ACTIONS = {OrderEffect.REFUSED: "reject", OrderEffect.ENDED: "cancelled"}
"""What the market does to an order of which this is said; it only says the rest."""
ENDS = {OrderEffect.REFUSED: OrderStatus.REJECTED, OrderEffect.ENDED: OrderStatus.CANCELLED}

each_row = pytest.mark.parametrize("name", ROWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What the product came to know of the order of a row, before it was sent and after."""

    preview: RebalancerError | None
    order: TrackedOrder

    @property
    def state(self) -> OrderState:
        return order_state(self.order)


def faults_of(name: str, row: OrderCode) -> list[Document]:
    said = {"code": row.code, "text": words_of(row).removeprefix(CANCELED)}
    met = {"order_ref": INTENTS[name].order_ref}
    fault = order_fault(ACTIONS.get(row.effect, "warn"), parameters=said, order=met)
    if row.effect is not OrderEffect.REFUSED:
        return [fault]
    return [fault, {"when": {"preview": met}, "what": {"reject": said}}]


async def preview_of(desk: GatewayOrders, name: str) -> RebalancerError | None:
    try:
        await desk.what_if(INTENTS[name])
    except RebalancerError as error:
        return error
    return None


def are_all_over(heard: list[Heard]) -> bool:
    """Whether of each order has been told what its row is about, and its end."""
    remarked = {each.order_ref for each in heard if isinstance(each.evidence, ErrorTold)}
    ended = {
        each.order_ref for each in heard if isinstance(each.evidence, StatusTold) and each.evidence.status in ENDED
    }
    return {order.order_ref for order in INTENTS.values()} <= remarked & ended


async def everything_met() -> Mapping[str, Met]:
    """Preview and place an order for each row, and look at the order book once all have been answered."""
    faults = [fault for name, row in ROWS.items() for fault in faults_of(name, row)]
    async with sandbox_with(faults=faults) as sandbox, trading(sandbox.gateway_port) as gateway:
        desk = gateway.desk
        assert isinstance(desk, GatewayOrders)
        refused = [name for name, row in ROWS.items() if row.effect is OrderEffect.REFUSED]
        previews = dict(zip(refused, await asyncio.gather(*(preview_of(desk, name) for name in refused)), strict=True))
        for order in INTENTS.values():
            await desk.place(order)
        told = await heard_until(desk, are_all_over)
        heard = [*told, *(await desk.order_book(intent().account)).heard]
    return {
        name: Met(
            preview=previews.get(name),
            order=TrackedOrder(intent=order, evidence=tuple(evidence_of(order.order_ref, heard))),
        )
        for name, order in INTENTS.items()
    }


@pytest.fixture(scope="module")
def met() -> Mapping[str, Met]:
    return asyncio.run(everything_met())


@each_row
def test_each_is_heard_as_it_was_said(met: Mapping[str, Met], name: str) -> None:
    row = ROWS[name]
    heard = [(e.code, e.text) for e in met[name].order.evidence if isinstance(e, ErrorTold)]
    assert set(heard) == {(row.code, words_of(row))}


@each_row
def test_each_ends_as_it_says_and_tells_what_can_be_done(met: Mapping[str, Met], name: str) -> None:
    row, state = ROWS[name], met[name].state
    assert state.status is ENDS.get(row.effect, OrderStatus.FILLED)
    assert state.filled == (0 if row.effect in ENDS else 1)
    assert remedy_for(met[name].order, state) == (row.remedy if row.effect in ENDS else "")


@each_row
def test_each_refusal_is_known_before_and_with_the_same_remedy(met: Mapping[str, Met], name: str) -> None:
    row, preview = ROWS[name], met[name].preview
    if row.effect is not OrderEffect.REFUSED:
        assert preview is None
        return
    assert isinstance(preview, GatewayRefused if row.kind == "read-only" else Refused)
    assert preview.hint == row.remedy
    assert row.meaning in preview.message
    assert f"(code {row.code}: {readable(words_of(row))})" in preview.message
