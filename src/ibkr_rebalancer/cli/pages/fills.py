"""What a run has filled, beside what its plan had printed: quantities, prices and what the difference has cost. Pure.

Slippage is measured from the plan's own prices, the bid for a sale and the ask for a purchase; what costs money is
worse. Nothing here rounds anything that is used again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ibkr_rebalancer.cli.pages.bars import legend, share_bar
from ibkr_rebalancer.cli.pages.frame import Column, bullets, figures, side_text, table
from ibkr_rebalancer.cli.pages.markup import NO_BREAK, Content, Markup, element, joined
from ibkr_rebalancer.cli.tables.labels import labels_of, planned_instrument
from ibkr_rebalancer.cli.tables.layout import UNKNOWN, shown_in, shown_price, shown_told
from ibkr_rebalancer.cli.tables.runs import (
    NOT_SENT,
    Line,
    charges_of,
    filled_price,
    lines_of,
    money_of,
    remedies_of,
    sum_told,
)
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import BASIS_POINT, ZERO
from ibkr_rebalancer.core.plan import Plan, Side, Skip, Trade, Untouched
from ibkr_rebalancer.core.purchases import Adjustment
from ibkr_rebalancer.core.report import OrderReport

WHY = Column("Why", "why")
COLUMNS = (
    Column("Symbol"),
    Column("Side"),
    Column("Filled of planned", "picture"),
    Column("Planned", "number"),
    Column("Sent", "number"),
    Column("Filled", "number"),
    Column("Plan price", "number"),
    Column("Fill price", "number"),
    Column("Slippage", "number"),
    Column("Commission", "number"),
    Column("Status", "status"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """The trades of a plan, the orders made for them, and the purchases that were cut."""

    plan: Plan
    orders: Sequence[OrderReport]
    adjustments: Sequence[Adjustment]

    @property
    def lines(self) -> Sequence[Line]:
        """A line for each order, and for each trade without one."""
        return [line for trade in self.plan.trades for line in lines_of(trade, self.orders, self.adjustments)]


def slippage(trade: Trade, order: OrderReport) -> Decimal | None:
    """What the fills of an order cost beyond the plan's price, in money; negative where they were better.

    None when nobody has told what some of it was filled at.
    """
    if not order.filled:
        return ZERO
    if order.average_price is None:
        return None
    dearer = order.average_price - trade.price
    return order.filled * (dearer if trade.side is Side.BUY else -dearer)


def fills_table(fills: Fills) -> Markup:
    """Order by order what was filled, and what can be done about those that the broker did not want."""
    labels = _labels(fills.plan)
    rows = [[labels[line.trade.con_id], *_cells(line, fills.plan.currency)] for line in fills.lines]
    caption = "Slippage is measured from the plan's price: the bid for a sale, the ask for a purchase"
    remedies = remedies_of(fills.orders, labels).items()
    helps = [joined([element("b", f"For {', '.join(symbols)}: "), remedy]) for remedy, symbols in remedies]
    shown = [legend(kept="filled", removed="missing"), table(caption, COLUMNS, rows)]
    return joined([*shown, *([bullets(helps)] if helps else [])], by="\n")


def fills_figures(fills: Fills) -> Markup:
    """What all fills come to."""
    sold, bought = (money_of(fills.orders, side) for side in (Side.SELL, Side.BUY))
    commission = charges_of(fills.orders)
    net = None if sold is None or bought is None or commission is None else sold - bought - commission
    made = [(line.trade, line.order) for line in fills.lines if line.order]
    costs = [(slippage(trade, order), trade.rate) for trade, order in made]
    lost = sum_told(None if cost is None else cost * rate for cost, rate in costs)
    traded = sum((order.filled * trade.price * trade.rate for trade, order in made), ZERO)
    return figures(
        [
            ("Sold", shown_told(sold)),
            ("Bought", shown_told(bought)),
            ("Commission", f"{shown_told(commission)}, planned {fills.plan.commission:,.2f}"),
            ("Cash moved", UNKNOWN if net is None else f"{net:+,.2f} {fills.plan.currency}"),
            ("Slippage", _slippage_text(lost, traded)),
        ]
    )


def unsent_table(fills: Fills) -> Markup | None:
    """What was planned and has not been sent, or not all of it, and why; None if all of it was."""
    labels = _labels(fills.plan)
    columns = (Column("Symbol"), Column("Side"), Column("Planned", "number"), Column("Sent", "number"), WHY)
    rows: list[Sequence[Content]] = []
    for trade in fills.plan.trades:
        lines = lines_of(trade, fills.orders, fills.adjustments)
        sent = max((line.sent.quantity for line in lines if line.sent), default=0)
        if sent < trade.quantity:
            why = lines[0].reason or "its turn had not come"
            rows.append([labels[trade.con_id], side_text(trade.side), f"{trade.quantity:,}", f"{sent:,}", why])
    return table("Planned, and not sent or not all of it", columns, rows) if rows else None


def _labels(plan: Plan) -> Mapping[ConId, str]:
    lines: list[Trade | Skip | Untouched] = [*plan.trades, *plan.skips, *plan.untouched]
    return labels_of(map(planned_instrument, lines))


def _cells(line: Line, account_currency: str) -> Sequence[Content]:
    trade, order, sent = line.trade, line.order, line.sent
    has_filled = order is not None and order.filled > 0
    status = sent.status if sent else NOT_SENT
    told = element("b", status) if line.missing else status
    return [
        side_text(trade.side),
        share_bar(Decimal(order.filled if order else 0), Decimal(trade.quantity)),
        "" if line.planned is None else f"{line.planned:,}",
        f"{sent.quantity:,}" if sent else "–",
        f"{sent.filled:,}" if sent else "–",
        shown_in(trade.currency, shown_price(trade.price), account_currency),
        shown_in(trade.currency, filled_price(order), account_currency) if order and has_filled else "",
        _line_slippage(trade, order) if order and has_filled else "",
        shown_in(trade.currency, shown_told(order.commission), account_currency) if order and has_filled else "",
        joined([told, element("small", f" {line.reason}")]) if line.reason else told,
    ]


def _line_slippage(trade: Trade, order: OrderReport) -> str:
    """In the account's currency, whatever the trade's is."""
    lost = slippage(trade, order)
    return _slippage_text(None if lost is None else lost * trade.rate, order.filled * trade.price * trade.rate)


def _slippage_text(lost: Decimal | None, traded: Decimal) -> str:
    """Money, and the same in basis points of what was traded at the plan's prices; the words say which way."""
    if lost is None:
        return UNKNOWN
    if lost == 0 or not traded:
        return "none"
    way = "worse" if lost > 0 else "better"
    return f"{abs(lost):,.2f} {way}, {abs(lost) / traded / BASIS_POINT:,.1f}{NO_BREAK}bp"
