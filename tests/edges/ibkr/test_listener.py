"""Whose an error is: an answer's, an order's, the link's, or nobody's."""

import asyncio

import pytest
from tests.support.reading import NOW, StoppedClock

from ibkr_rebalancer.edges.ibkr.answers import Answer, Answers, Refusal
from ibkr_rebalancer.edges.ibkr.link import Link
from ibkr_rebalancer.edges.ibkr.listener import Listener
from ibkr_rebalancer.edges.ibkr.order_messages import Complained, OrderMessage
from ibkr_rebalancer.edges.ibkr.troubles import LINK_DOWN

REMARKS = [399, 404, 2109, 2137, 2161, 2199, 10167, 10349]
"""Codes that end nothing, neither a request nor an order or its preview."""
REFUSALS = [103, 104, 110, 200, 201, 202, 203, 321, 434, 10147, 10148, 10197, 10243, 10311, 77777]


class Scene:
    """A listener whose request 7 is under way, and what it makes of messages. Make it inside an event loop."""

    def __init__(self) -> None:
        self.heard: list[OrderMessage] = []
        self.answers = Answers()
        self.link = Link()
        self.listener = Listener(self.answers, self.link, StoppedClock(), self.heard.append)

    def error(self, number: int, code: int) -> Answer:
        """Let this error come, and return the answer of request 7."""
        ended = asyncio.get_running_loop().create_future()
        answer = Answer(ended=ended, suffices=lambda _: False, lull_s=lambda _: None)
        with self.answers.expecting(7, answer):
            self.listener.error(number, code, "so it says", "")
        return answer


@pytest.mark.parametrize("code", REMARKS)
async def test_a_remark_ends_no_request_and_no_preview(code: int) -> None:
    scene = Scene()
    assert not scene.error(7, code).finished
    assert scene.heard == []


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_ends_its_request_and_is_about_no_order(code: int) -> None:
    scene = Scene()
    assert scene.error(7, code).refusal == Refusal(code=code, text="so it says")
    assert scene.heard == []


@pytest.mark.parametrize("code", [*REMARKS, *REFUSALS])
async def test_whatever_is_said_of_no_request_may_be_about_an_order(code: int) -> None:
    scene = Scene()
    assert not scene.error(8, code).finished
    assert scene.heard == [Complained(at=NOW, order_id=8, code=code, text="so it says")]


@pytest.mark.parametrize("code", [*REMARKS, *REFUSALS])
async def test_what_is_said_of_nothing_is_about_no_order(code: int) -> None:
    scene = Scene()
    assert not scene.error(-1, code).finished
    assert scene.heard == []


@pytest.mark.parametrize("number", [-1, 7, 8])
@pytest.mark.parametrize("code", [1100, 2110])
async def test_a_lost_link_concerns_all(number: int, code: int) -> None:
    scene = Scene()
    assert not scene.error(number, code).finished
    assert scene.link.trouble.result() is LINK_DOWN
    scene.error(number, 1102)
    assert not scene.link.trouble.done()
    assert scene.link.failures == 1
    assert scene.heard == []


async def test_order_ids_that_are_none_raise_no_numbers() -> None:
    scene = Scene()
    for order_id in (5, 3, 0, -4, 2147483647):
        scene.listener.orderStatus(order_id, "Submitted", 0, 1, 0, 9, 0, 0, 11, "", 0)
    assert scene.listener.last_order_id == 5
