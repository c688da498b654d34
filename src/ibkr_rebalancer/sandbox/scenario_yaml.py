"""A scenario file as plain data: names are text, and a value is a number, flag or nothing only where JSON would agree.

YAML 1.1 takes ON for true, 012 for ten, 1_000 for a thousand, 2025-06-24 for a date, and the last of equal names.
"""

import re
from typing import Any

import yaml

from ibkr_rebalancer.sandbox.venue.document import ScenarioError


def parse_scenario(content: bytes, *, name: str) -> Any:
    """The one document in a file of this name.

    Raises:
        ScenarioError: it is not YAML, or a name stands twice in it.
    """
    try:
        return yaml.load(content.decode("utf-8"), Loader=_Loader)  # noqa: S506 (it is a SafeLoader)
    except _RepeatedNameError as exc:
        raise ScenarioError(name, str(exc)) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ScenarioError(name, f"no YAML: {exc}") from exc


class _RepeatedNameError(Exception):
    pass


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own; its rules do not apply, those below do)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002
        """The names as they are written, each once."""
        entries: dict[Any, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "this is no name", key.start_mark)
            if key.value in entries:
                raise _RepeatedNameError(f"{key.value!r} stands in line {key.start_mark.line + 1} again")
            entries[key.value] = self.construct_object(value, deep=True)
        return entries


for kind, pattern in {
    "null": r"|~|null",
    "bool": r"true|false",
    "int": r"-?(0|[1-9][0-9]*)",
    "float": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?",
}.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"({pattern})\Z"), None)
