"""YAML as text with line numbers: nothing is guessed, repeated, merged or tagged.

YAML 1.1 takes ON for true, 012 for ten and 12:30:45 for 45045. Here a scalar is the text that stands in the file, and
whoever reads a key knows what it must be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ibkr_rebalancer.config.findings import Unfit, shown, unfit

UNTAGGED = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
"""What a node is called that bears no tag of its own."""


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar, quoted or not."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple["Tree", ...]
    line: int


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping from names to what stands behind them."""

    entries: Mapping[str, "Tree"]
    line: int


Tree = Text | Items | Entries
"""The line is counted from 1; where a name leads to the value, it is the name's."""


def parse(text: str) -> Tree | None:
    """The one document in `text`; None when there is nothing in it.

    Raises:
        Unfit: it is not YAML, or uses more of YAML than names, lists and text.
    """
    try:
        _refuse_more_than_one_document(text)
        _refuse_aliases(text)
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        return None if node is None else _tree(node, _line(node.start_mark))
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(_line(error.problem_mark), str(error.problem)) from error
    except yaml.reader.ReaderError as error:
        raise _not_yaml(text.count("\n", 0, error.position) + 1, "it contains a control character") from error
    except RecursionError as error:
        raise _not_yaml(1, "its lists and mappings are nested too deeply") from error


def _refuse_more_than_one_document(text: str) -> None:
    """Nobody can say which of them is meant."""
    starts = [e for e in yaml.parse(text, Loader=yaml.BaseLoader) if isinstance(e, yaml.DocumentStartEvent)]
    if len(starts) > 1:
        raise unfit(
            _line(starts[1].start_mark),
            "CONFIG_SYNTAX",
            "A second document begins here, and only one is taken.",
            hint="Remove this --- and what does not belong to the first document.",
        )


def _refuse_aliases(text: str) -> None:
    """A dozen lines of aliases can stand for a billion entries; `defaults` says once what several accounts share."""
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        if isinstance(event, yaml.AliasEvent):
            raise unfit(
                _line(event.start_mark),
                "CONFIG_SYNTAX",
                f"*{event.anchor} is an alias, and aliases are not taken.",
                hint="Put what the accounts share under `defaults:`, or write it out.",
            )


def _tree(node: yaml.Node, line: int) -> Tree:
    if node.tag not in UNTAGGED:
        raise unfit(
            _line(node.start_mark),
            "CONFIG_SYNTAX",
            f"{node.tag} is a tag, and tags are not taken.",
            hint="Write the plain value.",
        )
    match node:
        case yaml.ScalarNode():
            return Text(node.value, line)
        case yaml.SequenceNode():
            return Items(tuple(_tree(item, _line(item.start_mark)) for item in node.value), line)
        case yaml.MappingNode():
            return Entries(_entries(node), line)
    raise AssertionError(f"{type(node).__name__} is no kind of YAML node")


def _entries(node: yaml.MappingNode) -> Mapping[str, Tree]:
    entries: dict[str, Tree] = {}
    for name_node, value_node in node.value:
        line = _line(name_node.start_mark)
        name = _tree(name_node, line)
        if not isinstance(name, Text):
            raise _not_yaml(line, "a list or mapping stands where a name should")
        if name.value in entries:
            raise unfit(
                line,
                "CONFIG_DUPLICATE_KEY",
                f"{shown(name.value)} stands here again; it is already given in line {entries[name.value].line}.",
                hint="Remove one of the two.",
            )
        entries[name.value] = _tree(value_node, line)
    return entries


def _not_yaml(line: int, problem: str) -> Unfit:
    return unfit(
        line,
        "CONFIG_SYNTAX",
        f"This cannot be read as YAML: {problem}.",
        hint="Check the indentation, colons and quotes of this line and the one before.",
    )


def _line(mark: Any) -> int:
    """PyYAML counts from 0, and has one class of marks for each of its parsers."""
    return int(mark.line) + 1
