"""Print docs/refusals.md: every code of the gateway that has a row, with what it means and what a person can do."""

from collections.abc import Iterable
from itertools import chain

from ibkr_rebalancer.core.order_codes import ORDER_CODES, OrderCode, OrderEffect
from ibkr_rebalancer.edges.ibkr.codes import REQUEST_CODES, Effect

INTRODUCTION = """\
# What Interactive Brokers refuses, and what to do

Printed by `python script/refusals.py` from the tables that the program itself uses; a test compares.

A report says of an order that the broker did not want what can be done about it: in the table under the result, and as
`remedy` of the order in `--json`. A refusal before anything is sent has it as its hint. Code 201 is told apart by the
broker's own words, which are always shown with it; a kind that is not recognised is told as plain 201. An order counts
as dead only when the broker's records say so, whatever the code.
"""

TITLES = {
    OrderEffect.REFUSED: "Orders that are not taken",
    OrderEffect.ENDED: "Orders that end",
    OrderEffect.LIVES: "Remarks about orders that live on",
    OrderEffect.UNCLEAR: "Answers that do not say what became of an order",
}
HEAD = ["| code | meaning | what to do |", "|---|---|---|"]

Row = tuple[str, str, str]


def main() -> None:
    """Print the page."""
    print(INTRODUCTION)
    for effect, title in TITLES.items():
        print_section(title, [(_name(row), row.meaning, row.remedy) for row in ORDER_CODES if row.effect is effect])
        print()
    requests = sorted(REQUEST_CODES.items(), key=lambda row: ([*Effect].index(row[1].effect), row[0]))
    print_section("Questions and the connection", [(f"{code}", row.meaning, row.remedy) for code, row in requests])


def print_section(title: str, rows: Iterable[Row]) -> None:
    """Print a table; codes that mean the same stand together."""
    codes: dict[tuple[str, str], list[str]] = {}
    for code, meaning, remedy in rows:
        codes.setdefault((meaning, remedy), []).append(code)
    lines = (f"| {', '.join(named)} | {meaning} | {remedy} |" for (meaning, remedy), named in codes.items())
    print(*chain([f"## {title}", ""], HEAD, lines), sep="\n")


def _name(row: OrderCode) -> str:
    return f"{row.code} {row.kind}".strip()


if __name__ == "__main__":
    main()
