"""Faults as they are written: one record shape for those of the wire, of the market and of the channels. Pure.

    {when: reqIds, what: drop}
    {when: {message: reqMktData, where: {conId: 201}, client: 7, after: 1, count: 2}, what: {error: {code: 354}}}
    {when: {order: {symbol: AAA, side: BUY}, count: 1}, what: {partial: {shares: 30}}}
    {when: {preview: {symbol: AAA}}, what: {reject: {text: "No trading permissions."}}}
    {when: {realtime: MESSAGE, where: {channel: rebalance-primary}, count: 1}, what: drop}

A message is told by its kind and its fields on the wire; an order, or a what-if, by what is asked for; what goes over
the channels by its kind, channel, id and name. `after` and `count` count what fits.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from ibkr_rebalancer.sandbox.venue.document import (
    Document,
    Keys,
    ScenarioError,
    between,
    check_keys,
    choice,
    given,
    hexadecimal,
    mapping,
    number,
    plain,
    text,
    whole,
    written,
)
from ibkr_rebalancer.sandbox.venue.faults import (
    ACTIONS,
    ORDER_ACTIONS,
    ORDER_FIELDS,
    REALTIME_ACTIONS,
    REALTIME_FIELDS,
    Fault,
    OrderFault,
    RealtimeFault,
)

WHEN_KEYS: Keys = {"client": whole, "after": whole, "count": whole}
REALTIME_WHEN_KEYS: Keys = {"client": text, "after": whole, "count": whole}
IN_MARKET: tuple[Literal["order", "preview"], ...] = ("order", "preview")
PREVIEW_ACTIONS = ("reject", "warn")
PARAMETER_KEYS: Mapping[str, Keys] = {
    "error": {"code": whole, "text": text},
    "notice": {"code": whole, "text": text},
    "delay": {"ms": whole},
    "garbage": {"hex": hexadecimal},
    "reject": {"code": whole, "text": text},
    "warn": {"code": whole, "text": text},
    "hold": {"why": text, "status": choice("PreSubmitted", "Inactive")},
    "partial": {"shares": whole},
    "cancelled": {"ms": whole, "code": whole, "text": text},
    "cancel_late": {"ms": whole},
    "fill_on_cancel": {"shares": whole},
    "late_fill": {"ms": whole, "shares": whole},
    "correct": {"price": number, "ms": whole},
    "commission_late": {"ms": whole},
    "lag": {"ms": whole},
    "foreign": {"client": whole, "side": choice("BUY", "SELL"), "quantity": whole, "limit_price": number},
}
"""What the actions of a fault take; `alter` and `precede` take fields of the message, the others nothing."""
REALTIME_PARAMETER_KEYS: Mapping[str, Keys] = {
    "error": {"code": whole, "status": between(400, 599), "text": text},
    "delay": {"ms": whole},
    "pad": {"bytes": whole},
    "garbage": {"hex": hexadecimal},
    "close": {"code": between(1000, 4999)},
}
REQUIRED = {
    "error": "code",
    "notice": "code",
    "delay": "ms",
    "pad": "bytes",
    "close": "code",
    "warn": "code",
    "partial": "shares",
    "late_fill": "ms",
    "correct": "price",
    "commission_late": "ms",
    "lag": "ms",
}


def read_faults(document: Document) -> tuple[tuple[Fault, ...], tuple[OrderFault, ...], tuple[RealtimeFault, ...]]:
    """The faults of the wire, of the market and of the channels; the order among each kind is kept.

    Raises:
        ScenarioError: for what could never strike, as far as the venue can tell.
    """
    bodies = [] if document.get("faults") is None else document["faults"]
    if not isinstance(bodies, list):
        raise ScenarioError("faults", f"expected a list, was {bodies!r}")
    wire: list[Fault] = []
    market: list[OrderFault] = []
    realtime: list[RealtimeFault] = []
    for index, body in enumerate(bodies):
        where = f"faults[{index}]"
        check_keys(where, body, {"when", "what"})
        if _in_market(body.get("when")):
            market.append(_read_order_fault(where, body))
        elif isinstance(body.get("when"), dict) and "realtime" in body["when"]:
            realtime.append(_read_realtime_fault(where, body))
        else:
            wire.append(_read_fault(where, body))
    return tuple(wire), tuple(market), tuple(realtime)


def write_faults(
    wire: Iterable[Fault], market: Iterable[OrderFault], realtime: Iterable[RealtimeFault]
) -> list[Document]:
    return [
        *(_record(fault, {"message": fault.message, "where": dict(fault.where)}) for fault in wire),
        *(_record(fault, {fault.message: dict(fault.where)}) for fault in market),
        *(_record(fault, {"realtime": fault.message, "where": dict(fault.where)}) for fault in realtime),
    ]


def _in_market(when: object) -> bool:
    return when in IN_MARKET or (isinstance(when, dict) and any(kind in when for kind in IN_MARKET))


def _read_fault(where: str, body: Document) -> Fault:
    when = body.get("when")
    when = when if isinstance(when, dict) else {"message": when}
    check_keys(f"{where}.when", when, {*WHEN_KEYS, "message", "where"})
    if when.get("message") is None:
        raise ScenarioError(where, "a fault waits for one message and does one thing")
    action, parameters = _read_what(where, body, choice(*ACTIONS), PARAMETER_KEYS)
    return Fault(
        message=text(f"{where}.when.message", when["message"]),
        where=_read_where(f"{where}.when", when, "where"),
        action=action,
        parameters=parameters,
        **given(f"{where}.when", when, WHEN_KEYS),
    )


def _read_order_fault(where: str, body: Document) -> OrderFault:
    when = body["when"] if isinstance(body["when"], dict) else {body["when"]: {}}
    kind = next(kind for kind in IN_MARKET if kind in when)
    check_keys(f"{where}.when", when, {*WHEN_KEYS, kind})
    fields = _read_where(f"{where}.when", when, kind)
    check_keys(f"{where}.when.{kind}", fields, {"symbol", *ORDER_FIELDS})
    action, parameters = _read_what(where, body, choice(*ORDER_ACTIONS), PARAMETER_KEYS)
    if kind == "preview" and action not in PREVIEW_ACTIONS:
        raise ScenarioError(f"{where}.what", f"a preview knows {' and '.join(PREVIEW_ACTIONS)} only, was {action!r}")
    return OrderFault(
        message=kind, where=fields, action=action, parameters=parameters, **given(f"{where}.when", when, WHEN_KEYS)
    )


def _read_realtime_fault(where: str, body: Document) -> RealtimeFault:
    when = body["when"]
    check_keys(f"{where}.when", when, {*REALTIME_WHEN_KEYS, "realtime", "where"})
    fields = _read_where(f"{where}.when", when, "where")
    check_keys(f"{where}.when.where", fields, set(REALTIME_FIELDS))
    what = body.get("what")
    if isinstance(what, dict) and [*what] == ["alter"]:
        # Fields of a frame are whatever JSON can say, and null says that there is none.
        parameters = dict(mapping(f"{where}.what", what, "alter"))
        action: Any = "alter"
    else:
        action, parameters = _read_what(where, body, choice(*REALTIME_ACTIONS), REALTIME_PARAMETER_KEYS)
    return RealtimeFault(
        message=text(f"{where}.when.realtime", when["realtime"]),
        where=fields,
        action=action,
        parameters=parameters,
        **given(f"{where}.when", when, REALTIME_WHEN_KEYS),
    )


def _read_where(where: str, when: Document, key: str) -> dict[str, str]:
    return {name: text(f"{where}.{key}.{name}", value) for name, value in mapping(where, when, key)}


def _read_what(
    where: str, body: Document, read: Callable[[str, object], Any], keys: Mapping[str, Keys]
) -> tuple[Any, Document]:
    """The one thing it does, with what that takes."""
    what = body.get("what")
    stated = [*what] if isinstance(what, dict) else [what]
    if len(stated) != 1:
        raise ScenarioError(where, "a fault waits for one message and does one thing")
    action = read(f"{where}.what", stated[0])
    parameters = dict(mapping(f"{where}.what", what if isinstance(what, dict) else {}, action))
    return action, _read_parameters(f"{where}.what.{action}", action, parameters, keys)


def _read_parameters(where: str, action: str, body: Document, known: Mapping[str, Keys]) -> Document:
    keys = dict.fromkeys(body, text) if action in {"alter", "precede"} else known.get(action, {})
    check_keys(where, body, set(keys))
    if REQUIRED.get(action, action) not in {action, *body}:
        raise ScenarioError(where, f"needs {REQUIRED[action]!r}")
    return given(where, body, keys)


def _record(fault: Fault | OrderFault | RealtimeFault, when: Document) -> Document:
    parameters = {name: plain(value) for name, value in fault.parameters.items()}
    return {"when": when | written(fault, WHEN_KEYS), "what": {fault.action: parameters}}
