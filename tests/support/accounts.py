"""Random accounts of every kind a planner meets, the same for the same seed.

Worth $2,000 to $5,000,000, 3 to 500 targets, prices $3 to $800,000, mostly narrow and now and then wide spreads,
reserves 0 to 5 %, weights that add up to 0.99 to 1.01, gates from none to 300 bp.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import exp, log
from random import Random

from hypothesis.vendor.pretty import RepresentationPrinter
from tests.support.notation import RATES, Line, allocation, allocation_of, rate_of, snapshot, snapshot_of, written
from tests.support.rules import Ruled, with_rules

from ibkr_rebalancer.core.allocation import Allocation
from ibkr_rebalancer.core.policy import OrderType, Policy
from ibkr_rebalancer.core.portfolio import Snapshot
from ibkr_rebalancer.core.purpose import REBALANCE, Purpose

KINDS = (
    "deploy", "drift", "switch", "deposit", "raise", "tiny", "pinned", "messy", "accrual", "large", "levered",
    "owing", "abroad",
)  # fmt: skip
RESERVES_PCT = ("0", "0.25", "0.25", "0.25", "1", "2", "5")
LEAST_PER_NAME = 500
"""Dollars: nobody spreads a small account over dozens of names."""
OFFSETS_BP = ("0", "10", "30", "30", "30", "100", "1000")
GATES_BP = ("0", "1", "5", "5", "5", "5", "20", "100", "300")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Case:
    """All that a plan is made from, and how it came about."""

    kind: str
    seed: int
    snapshot: Snapshot
    allocation: Allocation
    policy: Policy
    purpose: Purpose = REBALANCE
    ruled: bool = False

    def __str__(self) -> str:
        return f'random_account({self.seed}, kind="{self.kind}"{", ruled=True" if self.ruled else ""})'

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:  # noqa: ARG002  # its protocol
        """How hypothesis prints a failing example."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        """In notation, so that a failing example can be copied into a test."""
        weights = "; ".join(f"{symbol} {weight * 100:f}" for symbol, weight in self.allocation.weights.items())
        policy = f"reserve {self.policy.cash_reserve_pct} %, gate {self.policy.min_gain_bp} bp"
        if self.policy.order_type is OrderType.LIMIT:
            policy += f", limits {self.policy.limit_offset_bp} bp off"
        if self.ruled:
            own = self.policy
            policy += f", exclude {sorted(own.exclude)}, {own.unlisted}, {own.substitutions}, {self.purpose}"
        return f'<{self}: snapshot("{written(self.snapshot)}", targets="{weights}"), {policy}>'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """An account in the making; money in floats until the lines are drawn."""

    random: Random
    worth: float
    lines: Mapping[str, Line]
    """Quoted, nothing held yet."""
    weights: Mapping[str, Decimal]

    def holding(self, share_of_worth: float, *, noise: float) -> list[Line]:
        """The targets, held about as they should be, with this part of the worth invested."""
        return [
            self.bought(line, share_of_worth * float(self.weights[symbol]) * exp(self.random.gauss(0, noise)))
            for symbol, line in self.lines.items()
        ]

    def bought(self, line: Line, part: float) -> Line:
        return _with_quantity(line, int(self.worth * part / float(line.mark * rate_of(line.currency))))


def case_of(text: str, *, targets: str, policy: Policy | None = None, purpose: Purpose = REBALANCE) -> Case:
    """The account in `text`, with the default policy unless given; substitutes are looked up as targets are."""
    policy = policy or Policy()
    uses = [f"; {each.use} 0" for each in policy.substitutions.values() if f"{each.use} " not in targets]
    return Case(
        kind="written",
        seed=0,
        snapshot=snapshot(text, targets=targets + "".join(uses)),
        allocation=allocation(targets),
        policy=policy,
        purpose=purpose,
    )


def random_account(seed: int, *, kind: str | None = None, names: int | None = None, ruled: bool = False) -> Case:
    """An account; its kind goes round with the seed unless given. `ruled`: the owner's rules are on at random."""
    kind = kind or KINDS[seed % len(KINDS)]
    random = Random(f"{kind} {seed}")  # noqa: S311  # reproducible, not secret
    least, most = {"large": (1e6, 5e6), "tiny": (2e3, 1e4)}.get(kind, (5e3, 5e6))
    worth = _log_uniform(random, least, most)
    most_names = max(5.0, min(80.0, worth / LEAST_PER_NAME))
    count = names or (random.randint(150, 500) if kind == "large" else _round_log(random, 3, most_names))
    symbols = [f"T{number:04d}" for number in range(count)]
    draft = _Draft(
        random=random,
        worth=worth,
        lines={symbol: _quoted(random, symbol) for symbol in symbols},
        weights=_weights(random, symbols),
    )
    drawn = _KIND[kind](draft)
    part = drawn.spendable_part
    policy = Policy(
        cash_reserve_pct=Decimal(random.choice(RESERVES_PCT)),
        min_gain_bp=Decimal(random.choice(GATES_BP)),
        order_type=random.choice((OrderType.MARKET, OrderType.LIMIT)),
        limit_offset_bp=Decimal(random.choice(OFFSETS_BP)),
    )
    account = Ruled(lines=drawn.lines, weights=draft.weights, policy=policy)
    if ruled:
        chance = Random(f"rules {kind} {seed}")  # noqa: S311  # not a secret
        fresh = [_quoted(chance, f"S{number}") for number in range(5)]
        account = with_rules(account, chance, quoted=fresh, cash=_dollars(drawn.cash))
    uses = [each.use for each in account.policy.substitutions.values()]
    return Case(
        kind=kind,
        seed=seed,
        snapshot=snapshot_of(
            account.lines,
            cash=_dollars(drawn.cash),
            targets=list(dict.fromkeys([*symbols, *uses])),
            available=None if part is None else _dollars(drawn.cash * part),
            foreign={currency: _dollars(amount) for currency, amount in drawn.foreign.items()},
        ),
        allocation=allocation_of(account.weights),
        policy=account.policy,
        purpose=account.purpose,
        ruled=ruled,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    lines: Sequence[Line]
    cash: float
    spendable_part: float | None = None
    """Of the cash, if the broker does not let all of it be spent."""
    foreign: Mapping[str, float] = field(default_factory=dict)


def _deploy(draft: _Draft) -> _Drawn:
    return _Drawn(lines=list(draft.lines.values()), cash=draft.worth)


def _drift(draft: _Draft) -> _Drawn:
    held = draft.holding(0.995, noise=draft.random.choice((0.005, 0.05, 0.3)))
    return _Drawn(lines=held, cash=draft.worth * draft.random.uniform(0, 0.02))


def _switch(draft: _Draft) -> _Drawn:
    """Other names are held, some of the targets too; one of the targets may be there to be sold."""
    kept = {line.symbol for line in draft.holding(1, noise=0) if draft.random.random() < 0.3}
    held = [line if line.symbol in kept else draft.lines[line.symbol] for line in draft.holding(0.9, noise=0.3)]
    others = [_quoted(draft.random, f"U{number:04d}") for number in range(draft.random.randint(1, 30))]
    leaving = [draft.bought(line, draft.random.uniform(0.2, 0.9) / len(others)) for line in others]
    return _Drawn(lines=[*held, *leaving], cash=draft.worth * draft.random.uniform(0, 0.1))


def _deposit(draft: _Draft) -> _Drawn:
    return _Drawn(lines=draft.holding(0.9, noise=0.1), cash=draft.worth * draft.random.uniform(0.05, 1))


def _raise(draft: _Draft) -> _Drawn:
    """Cash below the reserve, or owed."""
    return _on_credit(draft, draft.holding(1, noise=0.1), loan=-draft.random.uniform(-0.1, 0.004))


def _pinned(draft: _Draft) -> _Drawn:
    """Much of the account is in holdings that no plan may touch."""
    drawn = draft.random.choice((_drift, _deploy, _deposit))(draft)
    return replace(drawn, lines=[*drawn.lines, *_untouchable(draft, draft.random.uniform(0.1, 2))])


def _messy(draft: _Draft) -> _Drawn:
    """Fractions of shares, and a little of everything that cannot be traded."""
    drawn = draft.random.choice((_drift, _switch, _deposit))(draft)
    fractions = [
        _with_quantity(line, line.quantity + Decimal(draft.random.randint(1, 9999)) / 10000)
        if draft.random.random() < 0.4
        else line
        for line in drawn.lines
    ]
    return replace(drawn, lines=[*fractions, *_untouchable(draft, 0.02)])


def _accrual(draft: _Draft) -> _Drawn:
    drawn = draft.random.choice((_drift, _deploy, _deposit, _switch))(draft)
    return replace(drawn, spendable_part=draft.random.uniform(0, 1.2))


def _levered(draft: _Draft) -> _Drawn:
    """A loan of a fifth to four fifths of the worth."""
    loan = draft.random.uniform(0.2, 0.8)
    return _on_credit(draft, draft.holding(1 + loan, noise=0.1), loan=loan)


def _owing(draft: _Draft) -> _Drawn:
    """Cash that is not all one's own: a loan in another currency, the proceeds of a short sale, or both."""
    drawn = draft.random.choice((_drift, _deploy, _deposit))(draft)
    loan, short = (draft.worth * draft.random.choice((0, draft.random.uniform(0, 0.4))) for _ in range(2))
    sold = _quoted(draft.random, "XSHORT")
    shares = -int(short / float(sold.mark))
    return replace(
        drawn,
        lines=[*drawn.lines, *([_with_quantity(sold, shares)] if shares else [])],
        cash=drawn.cash + loan - shares * float(sold.mark),
        foreign={"EUR": -loan / float(RATES["EUR"]), "CAD": draft.random.choice((0, draft.worth * 0.01))},
        spendable_part=draft.random.choice((None, 1)),
    )


def _abroad(draft: _Draft) -> _Drawn:
    """Names in up to three currencies, each with cash of its own: enough, too little, none, or owed."""
    currencies = draft.random.choice((("USD", "EUR"), ("EUR",), ("USD", "EUR", "CAD")))
    lines = {s: replace(line, currency=draft.random.choice(currencies)) for s, line in draft.lines.items()}
    drawn = draft.random.choice((_drift, _deploy, _deposit, _switch))(replace(draft, lines=lines))
    needs = dict.fromkeys((*currencies, "CAD"), 0.0)
    for symbol, line in lines.items():
        needs[line.currency] += float(draft.weights[symbol]) * drawn.cash
    cash = {c: need * draft.random.choice((1, 1, 1.02, 0.7, 0, 3)) for c, need in needs.items()}
    held = sum(float(line.quantity * line.mark * rate_of(line.currency)) for line in drawn.lines)
    owed = draft.random.choice((0, 0, 0, held * 0.01))
    dollars = cash.pop("USD", draft.worth * draft.random.choice((0, 0.2)))
    return replace(
        drawn,
        cash=dollars if held + sum(cash.values()) > draft.worth / 2 else max(dollars, draft.worth / 2),
        foreign={c: (amount - owed) / float(RATES[c]) for c, amount in cash.items()},
        spendable_part=None,
    )


def _tiny(draft: _Draft) -> _Drawn:
    return draft.random.choice((_deploy, _drift, _deposit, _switch))(draft)


_KIND = {
    "deploy": _deploy, "drift": _drift, "switch": _switch, "deposit": _deposit, "raise": _raise, "tiny": _tiny,
    "pinned": _pinned, "messy": _messy, "accrual": _accrual, "large": _drift, "levered": _levered, "owing": _owing,
    "abroad": _abroad,
}  # fmt: skip


def _on_credit(draft: _Draft, lines: Sequence[Line], *, loan: float) -> _Drawn:
    """These holdings with a loan, as a part of what they are worth without it; all cash if nothing could be bought.

    The loan goes by what was really bought: whole shares of dear names may be far less than was meant.
    """
    bought = float(sum(line.quantity * line.mark for line in lines))
    return _Drawn(lines=lines, cash=-bought * loan / (1 + loan) if bought else draft.worth)


def _untouchable(draft: _Draft, part: float) -> list[Line]:
    """An option, a share that nobody quotes, a foreign share, a fraction and a stray short, of this worth in all."""
    option = _quoted(draft.random, "XOPT", security_type="OPT")
    foreign = _quoted(draft.random, "XSAP", currency="EUR")
    dead = Line(symbol="XDEAD", quantity=Decimal(int(draft.worth * part / 3)))
    short = Line(symbol="XSHORT", quantity=Decimal(-1), bid=Decimal("20.10"), ask=Decimal("20.12"))
    crumb = _with_quantity(_quoted(draft.random, "XCRUMB"), Decimal("0.4"))
    return [draft.bought(option, part / 3), draft.bought(foreign, part / 3), dead, short, crumb]


def _weights(random: Random, symbols: Sequence[str]) -> dict[str, Decimal]:
    """Weights that add up to nearly 1; one in twenty is a zero, but not the first."""
    raw = [0.0 if number and random.random() < 0.05 else random.expovariate(1) + 0.02 for number in range(len(symbols))]
    stated = random.choice((1.0, 1.0, random.uniform(0.991, 1.009)))
    parts = [min(1.0, part * stated / sum(raw)) for part in raw]
    return {symbol: Decimal(f"{part:.6f}") for symbol, part in zip(symbols, parts, strict=True)}


def _quoted(random: Random, symbol: str, *, security_type: str = "STK", currency: str = "USD") -> Line:
    most = 800_000 if random.random() < 0.01 else 800
    middle = _log_uniform(random, 3, most)
    spread = random.choices(
        (0.0, random.uniform(1e-4, 5e-4), random.uniform(5e-4, 5e-3), random.uniform(5e-3, 0.03)), (5, 80, 12, 3)
    )[0]
    bid = Decimal(f"{middle * (1 - spread / 2):.2f}")
    ask = max(bid, Decimal(f"{middle * (1 + spread / 2):.2f}"))
    return Line(symbol=symbol, bid=bid, ask=ask, security_type=security_type, currency=currency)


def _with_quantity(line: Line, quantity: Decimal | int) -> Line:
    return Line(
        symbol=line.symbol,
        quantity=Decimal(quantity),
        bid=line.bid,
        ask=line.ask,
        security_type=line.security_type,
        currency=line.currency,
    )


def _dollars(amount: float) -> Decimal:
    return Decimal(f"{amount:.2f}")


def _log_uniform(random: Random, least: float, most: float) -> float:
    return exp(random.uniform(log(least), log(most)))


def _round_log(random: Random, least: float, most: float) -> int:
    return round(_log_uniform(random, least, most))
