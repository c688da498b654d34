"""From a parsed accounts.yaml to accounts, along the schema; what is wrong is found in one go."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ibkr_rebalancer.config.findings import Unfit, each, shown, unfit
from ibkr_rebalancer.config.keys import Key, Section, complaint
from ibkr_rebalancer.config.schema import ACCOUNT, POLICY
from ibkr_rebalancer.config.sources import layout_of
from ibkr_rebalancer.config.strict_yaml import Entries, Items, Text, Tree
from ibkr_rebalancer.core.allocation import SYMBOL
from ibkr_rebalancer.core.instruments import ContractQuery
from ibkr_rebalancer.core.policy import Account, Limits, Policy, Substitution


def read_accounts(document: Tree | None, *, folder: Path) -> tuple[Account, ...]:
    """The accounts of a document that is a list of them, or `{defaults: {…}, accounts: […]}`.

    An account's own key beats the default; of `contracts`, `limits` and `substitutions`, entry by entry. Files of
    targets lie in `folder`, an absolute path, or where their own paths lead from there.

    Raises:
        Unfit: with everything that is wrong, wherever it is.
    """
    defaults, listed = _parts(document)
    if not listed.items:
        raise unfit(
            listed.line,
            "CONFIG_NO_ACCOUNTS",
            "No account is listed.",
            hint="Add one with account_id, notification.channel and allocations.url.",
        )
    given = _section(POLICY, defaults, "defaults")
    accounts = each(lambda tree: _account(tree, given, folder), listed.items)
    _refuse_repeated(accounts, listed)
    return tuple(accounts)


def _parts(document: Tree | None) -> tuple[Tree, Items]:
    """What stands under `defaults:` and the list of accounts, whichever form the document has."""
    nothing = Entries({}, 1)
    match document:
        case None:
            return nothing, Items((), 1)
        case Items():
            return nothing, document
        case Entries():
            each(lambda name: _refuse_unknown(name, document, ("defaults", "accounts"), ""), document.entries)
            listed = document.entries.get("accounts", Items((), document.line))
            if isinstance(listed, Items):
                return document.entries.get("defaults", nothing), listed
            raise _misshapen("accounts", listed, "a list of accounts")
        case _:
            raise _misshapen("accounts.yaml", document, "a list of accounts")


def _account(tree: Tree, defaults: Mapping[str, Any], folder: Path) -> Account:
    own = _section(ACCOUNT, tree, "")
    given = {**defaults, **{name: _laid_over(defaults.get(name), value) for name, value in own.items()}}
    contracts = {symbol: ContractQuery(symbol=symbol, **entry) for symbol, entry in given["contracts"].items()}
    limits = Limits(**given["limits"])
    substitutions = {symbol: Substitution(**entry) for symbol, entry in given["substitutions"].items()}
    _refuse_chains(substitutions, tree.line)
    built = {"contracts": contracts, "limits": limits, "substitutions": substitutions}
    source = given["allocations"]
    return Account(
        channel=given["notification"]["channel"],
        allocations_url=source["url"] if "url" in source else (folder / source["file"]).as_uri(),
        layout=layout_of(source),
        policy=Policy(**_fields_of(Policy, {**given, **built})),
        **_fields_of(Account, {**given, **source}),
    )


def _refuse_chains(substitutions: Mapping[str, Substitution], line: int) -> None:
    """A substitute that is substituted itself: nobody can say which of the two is meant."""
    real = {symbol: each.use for symbol, each in substitutions.items() if each.use != symbol}
    for symbol, use in real.items():
        if use in real:
            raise unfit(
                line,
                "CONFIG_CONFLICT",
                f"substitutions has {use} bought in place of {symbol}, and {real[use]} in place of {use}.",
                hint=f"Name under {symbol} what is really to be bought.",
            )


def _laid_over(default: Any, own: Any) -> Any:
    return {**default, **own} if isinstance(default, dict) else own


def _fields_of(kind: type[Account | Policy], given: Mapping[str, Any]) -> dict[str, Any]:
    """What of `given` is a field of the core value; a field that is not given keeps its default."""
    return {each_field.name: given[each_field.name] for each_field in fields(kind) if each_field.name in given}


def _refuse_repeated(accounts: list[Account], listed: Items) -> None:
    first_lines: dict[str, int] = {}

    def check(entry: tuple[Account, Tree]) -> None:
        account, tree = entry
        if account.account_id in first_lines:
            raise unfit(
                tree.line,
                "CONFIG_DUPLICATE_ACCOUNT",
                f"{account.account_id} is listed again; it already stands in line {first_lines[account.account_id]}.",
                hint="Remove one of the two.",
            )
        first_lines[account.account_id] = tree.line

    each(check, zip(accounts, listed.items, strict=True))


def _section(section: Section, tree: Tree, path: str) -> dict[str, Any]:
    """The values of a section by name. Sections inside it are always there, if need be empty."""
    if not isinstance(tree, Entries):
        raise _misshapen(path or "an account", tree, "a mapping of names to values")
    missing = [name for name in section.keys if name not in tree.entries]
    meant = {near for name in tree.entries if name not in section.keys and (near := _near(name, section.keys))}
    due = [n for n in missing if n not in meant and (not isinstance(key := section.keys[n], Key) or key.required)]
    defaults = {n: key.default for n, key in section.keys.items() if isinstance(key, Key) and key.default is not None}
    values = defaults | dict(each(lambda name: (name, _named(name, section, tree, path)), [*tree.entries, *due]))
    section.check(values, tree.line)
    return values


def _named(name: str, section: Section, tree: Entries, path: str) -> Any:
    """The value of one name in a section."""
    _refuse_unknown(name, tree, section.keys, path)
    below = tree.entries.get(name)
    full_name = f"{path}.{name}" if path else name
    match section.keys[name]:
        case Key() as key:
            return _value(key, below, full_name, tree.line)
        case Section() as inner:
            return _section(inner, below or Entries({}, tree.line), full_name)
        case by_symbol:
            return _by_symbol(by_symbol.entry, below or Entries({}, tree.line), full_name)


def _value(key: Key, tree: Tree | None, name: str, parent_line: int) -> Any:
    match tree:
        case None:
            raise unfit(parent_line, "CONFIG_MISSING_KEY", f"{name} is missing.", hint=f"Add it: it is {key.meaning}.")
        case Items(items) if key.is_list:
            return frozenset(each(lambda item: _read(key, item, name), items))
        case Text() if not key.is_list:
            return _read(key, tree, name)
        case _:
            raise _misshapen(name, tree, key.must)


def _read(key: Key, tree: Tree, name: str) -> Any:
    """The value of a single text."""
    if not isinstance(tree, Text):
        raise _misshapen(f"An entry of {name}", tree, key.must)
    try:
        return key.read(tree.value)
    except ValueError as error:
        hint = f"Correct it: {name} is {key.meaning}."
        raise unfit(tree.line, "CONFIG_INVALID_VALUE", complaint(name, key, tree.value), hint=hint) from error


def _by_symbol(entry: Section, tree: Tree, path: str) -> dict[str, Any]:
    if not isinstance(tree, Entries):
        raise _misshapen(path, tree, f"a mapping of symbols to {path}")

    def read(symbol: str) -> tuple[str, dict[str, Any]]:
        below = tree.entries[symbol]
        if not SYMBOL.fullmatch(symbol):
            raise unfit(
                below.line,
                "CONFIG_INVALID_VALUE",
                f"{path} has an entry for {shown(symbol)}, which is not a symbol.",
                hint="Write the symbol as the targets do, in capitals.",
            )
        return symbol, _section(entry, below, f"{path}.{symbol}")

    return dict(each(read, tree.entries))


def _refuse_unknown(name: str, tree: Entries, known: Collection[str], path: str) -> None:
    if name in known:
        return
    near = _near(name, known)
    raise unfit(
        tree.entries[name].line,
        "CONFIG_UNKNOWN_KEY",
        f"{shown(name)} is not a key that this version knows{f' in {path}' if path else ''}.",
        hint=f"Did you mean {shown(near)}?" if near else f"Use one of {', '.join(known)}.",
    )


def _near(name: str, known: Collection[str]) -> str | None:
    """The known name that a misspelt one is likely to mean; it is not missing then."""
    return next(iter(get_close_matches(name, known, n=1)), None)


def _misshapen(name: str, tree: Tree, must: str) -> Unfit:
    kind = {Text: "a single value", Items: "a list", Entries: "a mapping"}[type(tree)]
    return unfit(
        tree.line,
        "CONFIG_INVALID_VALUE",
        f"{name} is {kind}; it must be {must}.",
        hint="Check the indentation and the dashes here.",
    )
