"""Print the generated part of docs/configuration.md: every setting of config.schema, with meaning, default, example."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from ibkr_rebalancer.config.environment import FILE_SUFFIX
from ibkr_rebalancer.config.keys import BySymbol, Key, Section
from ibkr_rebalancer.config.schema import ACCOUNT, ENVIRONMENT, POLICY
from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.layout import Layout
from ibkr_rebalancer.core.policy import Account, Limits, Policy, Substitution

CORE: Mapping[str, tuple[type[Any], ...]] = {
    "": (Policy, Account),
    "allocations": (Layout, Account),
    "contracts": (ContractQuery,),
    "limits": (Limits,),
    "substitutions": (Substitution,),
}
"""By the name of a section, the values of `core` whose fields hold the defaults of its keys."""


def main() -> None:
    """Print the page from its first generated heading on."""
    required = ", ".join(f"`{name}`" for name in ACCOUNT.keys if name not in POLICY.keys)
    print("## Keys of an account\n")
    print(_filled(f"All of them but {required} may stand under `defaults:`, too.") + "\n")
    print("\n".join(_section("", ACCOUNT)))
    print("\n## Variables\n")
    for name, key in ENVIRONMENT.items():
        secret = f" Secret: `{name}{FILE_SUFFIX}` may name a file that holds it." if key.secret else ""
        print(_item(f"{name}={key.example}", key, key.default, secret))


def _section(name: str, section: Section) -> Iterator[str]:
    """What is a single value first, then the sections within it, each under its own heading."""
    for key_name, key in section.keys.items():
        if isinstance(key, Key):
            yield _item(f"{key_name}: {key.example}", key, _default(key_name, key, name))
    for inner_name, inner in section.keys.items():
        if isinstance(inner, Section):
            yield f"\n### `{inner_name}:`\n\n{_filled(f'It is {inner.meaning}.')}\n"
            yield from _section(inner_name, inner)
        elif isinstance(inner, BySymbol):
            told = f"It is {inner.meaning}. Each symbol leads to {inner.entry.meaning}."
            yield f"\n### `{inner_name}:`, by symbol\n\n{_filled(told)}\n"
            yield from _section(inner_name, inner.entry)


def _default(name: str, key: Key, section: str) -> Any:
    """The default of a key of accounts.yaml: that of its field in the core if it has one."""
    for kind in CORE.get(section, ()):
        for field in fields(kind):
            if field.name == name and not key.required:
                return field.default
    return key.default


def _item(example: str, key: Key, default: Any, more: str = "") -> str:
    told = " Required." if key.required else "" if default is None else f" Default: {_written(key, default)}."
    return _filled(f"- `{example}`: {key.meaning}. It must be {key.must}.{told}{more}", hanging="  ")


def _written(key: Key, default: Any) -> str:
    """As it would stand in the file."""
    if isinstance(default, frozenset):
        return f"[{', '.join(sorted(default))}]"
    choices = [choice for choice in key.must.split(" or ") if _reads_as(key, choice, default)]
    return choices[0] if choices else str(default)


def _reads_as(key: Key, text: str, value: Any) -> bool:
    try:
        return bool(key.read(text) == value)
    except ValueError:
        return False


def _filled(text: str, *, hanging: str = "") -> str:
    return textwrap.fill(text, 120, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    main()
