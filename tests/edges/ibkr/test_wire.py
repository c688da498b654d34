"""What looks has nothing that trades: not by name, and not for the type checker either."""

from ibkr_rebalancer.edges.ibkr.conversation import Conversation
from ibkr_rebalancer.edges.ibkr.market import GatewayMarket
from ibkr_rebalancer.edges.ibkr.order_messages import traded_contract
from ibkr_rebalancer.edges.ibkr.wire import OrderWire, Wire


def requests_of(wire: type) -> set[str]:
    return {name for name in dir(wire) if not name.startswith("_")}


def test_only_the_desk_can_place_and_cancel() -> None:
    desk_only = {"placeOrder", "cancelOrder", "reqAllOpenOrders", "reqExecutions", "reqCompletedOrders"}
    assert requests_of(OrderWire) - requests_of(Wire) == desk_only
    assert {name for name in requests_of(Wire) if "rder" in name} == set()


def test_a_market_holds_a_conversation_that_only_looks() -> None:
    assert GatewayMarket.__init__.__annotations__["conversation"] == Conversation[Wire]


def what_the_type_checker_refuses(looking: Conversation[Wire], wire: Wire) -> None:
    """Never called. If one of these lines became right, mypy would complain of an `ignore` that ignores nothing."""
    wire.placeOrder(1, traded_contract, None)  # type: ignore[attr-defined]
    wire.cancelOrder(1, "")  # type: ignore[attr-defined]
    looking.tell(lambda wire: wire.cancelOrder(1, ""), about="")  # type: ignore[attr-defined]
    trading: Conversation[OrderWire] = looking  # type: ignore[assignment]
    assert trading


def what_the_type_checker_allows(trading: Conversation[OrderWire]) -> None:
    """A market may look over a desk's connection."""
    looking: Conversation[Wire] = trading
    assert looking
