"""Taps on ports: before and after each call that writes or sends, somebody may raise, cut or kill.

The product knows nothing of them: a tapped port is the port, called through a wrapper. Every call of a method in
`WRITES` or `SENDS` passes two points, so a method that is added to a port only has to be named here.
"""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

WRITES = frozenset({"start_run", "keep_plan", "intend", "observe", "settle", "end_run", "fail_run", "adopt", "pin"})
"""Of the journal as the ledger, one transaction each."""
INBOX_WRITES = frozenset({"keep", "take_steps", "advance"})
"""Of the journal as the inbox, one transaction each."""
SENDS = frozenset({"place", "cancel"})
"""Of the desk."""
QUESTIONS = frozenset({"server_time", "managed_accounts", "positions", "portfolio", "contracts", "quotes"})
"""Of the market."""
LOOKS = frozenset({"order_book", "what_if", "heard"})
"""Of the desk; they send nothing."""

Passage = Callable[[str], None]
"""Is told each point as it is passed: `before intend`, `after intend`."""

Port = TypeVar("Port")


class _Tapped:
    def __init__(self, port: object, names: frozenset[str], passage: Passage) -> None:
        self._port = port
        self._names = names
        self._passage = passage

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if name not in self._names:
            return attribute
        return (_tapped_coroutine if iscoroutinefunction(attribute) else _tapped_call)(attribute, name, self._passage)


def tapped(port: Port, names: frozenset[str], passage: Passage) -> Port:
    """The port, with a point before and after each call of these methods."""
    return cast("Port", _Tapped(port, names, passage))


def _tapped_call(call: Callable[..., Any], name: str, passage: Passage) -> Callable[..., Any]:
    @wraps(call)
    def passed(*arguments: Any, **named: Any) -> Any:
        passage(f"before {name}")
        answer = call(*arguments, **named)
        passage(f"after {name}")
        return answer

    return passed


def _tapped_coroutine(call: Callable[..., Any], name: str, passage: Passage) -> Callable[..., Any]:
    @wraps(call)
    async def passed(*arguments: Any, **named: Any) -> Any:
        passage(f"before {name}")
        answer = await call(*arguments, **named)
        passage(f"after {name}")
        return answer

    return passed
