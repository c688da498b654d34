"""Plans as a page: where each account stands, where it should be and will be, by which orders, and why. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ibkr_rebalancer.cli.pages.bars import Scale, axis, bar, legend, scale_for
from ibkr_rebalancer.cli.pages.frame import (
    Column,
    bullets,
    capital,
    dim,
    error_block,
    figures,
    heading,
    page,
    side_text,
    table,
)
from ibkr_rebalancer.cli.pages.markup import NO_BREAK, Content, Markup, element, joined
from ibkr_rebalancer.cli.tables.labels import labels_of, planned_instrument
from ibkr_rebalancer.cli.tables.layout import shown_account, shown_count, shown_in, shown_price, shown_weight
from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.core.instruments import ConId
from ibkr_rebalancer.core.money import BASIS_POINT
from ibkr_rebalancer.core.plan import Plan, Side, Skip, Trade
from ibkr_rebalancer.core.portfolio import AccountId

Labels = Mapping[ConId, str]


def plans_page(outcomes: Mapping[AccountId, Plan | RebalancerError]) -> str:
    """One page for all accounts: a plan, or why there is none."""
    several = len(outcomes) > 1
    title = f"Plans for {len(outcomes)} accounts" if several else f"Plan for {shown_account(next(iter(outcomes)))}"
    overview = [element("section", heading(2, "All accounts"), _overview(outcomes))] if several else []
    return page(title, *overview, *(_section(account, outcome, several) for account, outcome in outcomes.items()))


def plan_parts(plan: Plan, *, level: int) -> Sequence[Content]:
    """All that a plan says, its headings from this level on."""
    lines: list[Trade | Skip] = [*plan.trades, *plan.skips]
    labels = labels_of(planned_instrument(line) for line in (*lines, *plan.untouched))
    parts: list[Content] = [_origin(plan), _figures(plan), heading(level, "Weights"), _weights(plan, lines, labels)]
    parts += [heading(level, "Orders"), _orders(plan, labels) if plan.trades else element("p", "Nothing to do.")]
    if plan.skips:
        parts += [heading(level, "Not traded"), _skips(plan, labels)]
    if len(plan.cash_by_currency) > 1:
        parts += [heading(level, "Cash by currency"), _cash(plan)]
    if plan.untouched:
        parts += [heading(level, "Untouched"), _untouched(plan, labels)]
    if plan.remarks:
        parts += [heading(level, "Notes"), bullets(plan.remarks)]
    return parts


def _overview(outcomes: Mapping[AccountId, Plan | RebalancerError]) -> Markup:
    columns = [
        Column("Account"),
        Column("Net liquidation", "number"),
        Column("Orders", "number"),
        Column("Turnover", "number"),
        Column("Drift", "number"),
    ]
    return table(
        "Drift is the distance from the targets",
        columns,
        (_overview_row(each, outcome) for each, outcome in outcomes.items()),
    )


def _overview_row(account: AccountId, outcome: Plan | RebalancerError) -> Sequence[Content]:
    link = element("a", account, href=f"#{account}")
    if isinstance(outcome, RebalancerError):
        return [link, "", element("b", f"no plan: {outcome.code}", class_="bad"), "", ""]
    worth = f"{outcome.net_liquidation:,.2f} {outcome.currency}"
    return [link, worth, f"{len(outcome.trades)}", f"{outcome.turnover:.1%}", _gone(outcome)]


def _section(account: AccountId, outcome: Plan | RebalancerError, several: bool) -> Markup:
    titles = [heading(2, capital(shown_account(account)), id=account)] if several else []
    level = 3 if several else 2
    said = [_error(outcome)] if isinstance(outcome, RebalancerError) else plan_parts(outcome, level=level)
    return element("section", joined([*titles, *said], by="\n"), class_="account")


def _error(error: RebalancerError) -> Markup:
    return error_block(error.code, error.message, hint=error.hint, exit_code=error.exit_code)


def _origin(plan: Plan) -> Markup:
    strategy = plan.strategy.strategy_long_name or plan.strategy.name
    dated = f" of {plan.strategy.as_of}" if plan.strategy.as_of else ""
    named = [element("p", f"{strategy}{dated}", class_="strategy")] if strategy else []
    return joined([*named, dim(f"{plan.as_of:%Y-%m-%d %H:%M} UTC, plan {plan.plan_id}")], by="\n")


def _figures(plan: Plan) -> Markup:
    sales = sum(trade.side is Side.SELL for trade in plan.trades)
    sides = f"{sales} SELL, {len(plan.trades) - sales} BUY"
    money: list[tuple[str, Content]] = [
        ("Net liquidation", f"{plan.net_liquidation:,.2f} {plan.currency}"),
        ("Cash", _with_note(f"{plan.cash:,.2f} → {plan.cash_after:,.2f}", f"reserve {plan.cash_reserve:,.2f}")),
        ("Orders", _with_note(f"{len(plan.trades)}", sides if plan.trades else "nothing to do")),
        ("Turnover", f"{plan.turnover:.1%}"),
        ("Commission", f"about {plan.commission:,.2f}"),
        ("Spread", f"about {plan.spread_cost:,.2f}"),
        ("Drift", joined([_gone(plan), *_drift_bar(plan)])),
    ]
    return figures(money)


def _with_note(figure: str, note: str) -> Markup:
    return joined([figure, element("small", note, class_="note")])


def _gone(plan: Plan) -> str:
    before, after = (f"{drift / BASIS_POINT:,.0f}{NO_BREAK}bp" for drift in (plan.drift_before, plan.drift_after))
    return f"{before} → {after}"


def _drift_bar(plan: Plan) -> Sequence[Markup]:
    whole = max(plan.drift_before, plan.drift_after)
    scale = Scale(most=whole, lines=())
    return [bar(plan.drift_before, plan.drift_after, target=None, scale=scale)] if whole else []


def _weights(plan: Plan, lines: Sequence[Trade | Skip], labels: Labels) -> Markup:
    """Weight by weight, the largest after the plan first, and cash last."""
    cash, cash_after, reserve = (
        amount / plan.net_liquidation for amount in (plan.cash, plan.cash_after, plan.cash_reserve)
    )
    ranked = sorted(lines, key=lambda line: (-_after(line), -line.weight_before, labels[line.con_id]))
    weights = [weight for line in lines for weight in (line.weight_before, line.weight_target, _after(line))]
    scale = scale_for([*weights, cash, cash_after, reserve])
    rows: list[Sequence[Content]] = [
        [
            joined([labels[line.con_id], _move(line)]),
            bar(line.weight_before, _after(line), target=line.weight_target, scale=scale),
            shown_weight(line.weight_before),
            shown_weight(line.weight_target),
            shown_weight(_after(line)),
        ]
        for line in ranked
    ]
    moved, least = bar(cash, cash_after, target=reserve, scale=scale), f"≥ {shown_weight(reserve)}"
    rows.append(["Cash", moved, shown_weight(cash), least, shown_weight(cash_after)])
    columns = [
        Column("Symbol"),
        Column(joined([element("span", "From now to after", class_="unseen"), axis(scale)]), "picture"),
        Column("Now", "number"),
        Column("Target", "number"),
        Column("After", "number"),
    ]
    explained = legend(added="added", removed="removed", target="target; of cash, the reserve")
    return joined([explained, table("Parts of net liquidation", columns, rows, kind="weights")], by="\n")


def _after(line: Trade | Skip) -> Decimal:
    return line.weight_after if isinstance(line, Trade) else line.weight_before


def _move(line: Trade | Skip) -> Content:
    if isinstance(line, Skip):
        return ""
    return element("small", f" {line.side.value} {line.quantity:,}", class_=line.side.value.lower())


def _orders(plan: Plan, labels: Labels) -> Markup:
    columns = [
        Column("Symbol"),
        Column("Side"),
        Column("Quantity", "number"),
        Column("Price", "number"),
        Column("Value", "number"),
        Column("Commission", "number"),
        Column("Spread", "number"),
        Column("Held", "number"),
        Column("Why", "why"),
    ]
    rows: list[Sequence[Content]] = [
        [
            labels[trade.con_id],
            side_text(trade.side),
            f"{trade.quantity:,}",
            shown_in(trade.currency, shown_price(trade.price), plan.currency),
            f"{trade.notional:,.2f}",
            shown_in(trade.currency, f"{trade.commission:,.2f}", plan.currency),
            shown_in(trade.currency, f"{trade.spread_cost:,.2f}", plan.currency),
            f"{shown_count(trade.held)} → {shown_count(trade.target_quantity)}",
            trade.reason,
        ]
        for trade in plan.trades
    ]
    return table("In the order of sending; sales first", columns, rows)


def _skips(plan: Plan, labels: Labels) -> Markup:
    columns = [Column("Symbol"), Column("Held", "number"), Column("Price", "number"), Column("Why", "why")]
    rows = [
        [
            labels[each.con_id],
            shown_count(each.held),
            shown_in(each.currency, shown_price(each.price), plan.currency),
            each.reason,
        ]
        for each in plan.skips
    ]
    return table("What the targets are about, and no order", columns, rows)


def _cash(plan: Plan) -> Markup:
    columns = [Column("Currency"), *(Column(name, "number") for name in ("Rate", "Now", "After", "Reserve"))]
    rows: list[Sequence[Content]] = [
        [
            line.currency,
            "" if line.currency == plan.currency else f"{line.rate.normalize():f}",
            *(f"{amount:,.2f}" for amount in (line.cash, line.cash_after, line.cash_reserve)),
        ]
        for line in plan.cash_by_currency
    ]
    return table("Each in its own; none is converted", columns, rows)


def _untouched(plan: Plan, labels: Labels) -> Markup:
    columns = [
        Column("Symbol"),
        Column("Type"),
        Column("Held", "number"),
        Column("Value", "number"),
        Column("Why", "why"),
    ]
    rows: list[Sequence[Content]] = [
        [
            labels[each.con_id],
            each.security_type,
            shown_count(each.quantity),
            "–" if each.market_value is None else f"{each.market_value:,.2f} {each.currency}",
            each.reason,
        ]
        for each in plan.untouched
    ]
    return table("What is held and no plan trades", columns, rows)
