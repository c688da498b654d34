"""Variables of the environment and of .env files, read along the schema; the process's environment is left alone."""

import io
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv.parser import Binding, parse_stream

from ibkr_rebalancer.config.keys import Key, complaint
from ibkr_rebalancer.config.schema import ENVIRONMENT
from ibkr_rebalancer.core.errors import ConfigError

FILE_SUFFIX = "_FILE"

FILE_NAMES = {f"{name}{FILE_SUFFIX}": name for name, key in ENVIRONMENT.items() if key.secret}
"""Variables that name a file which holds a secret, and the variable each stands for."""

NEAR = 0.85
"""How alike a foreign name must be to one of ours to look like a slip (1 is the same)."""


@dataclass(frozen=True, slots=True)
class Given:
    """The text of a variable, and where it was set, for messages."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DotEnv:
    """What a .env file holds; nothing if there is none."""

    path: Path
    given: Mapping[str, Given]
    warnings: tuple[str, ...]
    is_exposed: bool
    """Whether others than its owner may read it."""


def read_dotenv(path: Path) -> DotEnv:
    """Read a .env file, in python-dotenv's format, without expanding `$NAME` in its values.

    Raises:
        ConfigError: it is there, and cannot be read (`CONFIG_UNREADABLE`).
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            bindings = list(parse_stream(io.StringIO(file.read().decode("utf-8-sig"))))
    except FileNotFoundError:
        return DotEnv(path=path, given={}, warnings=(), is_exposed=False)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    given = {b.key: Given(b.value, f"{path}:{_line(b)}") for b in bindings if b.key and b.value}
    return DotEnv(
        path=path,
        given=given,
        warnings=(*_malformed(bindings, path), *_near_misses(given)),
        is_exposed=bool(mode & (stat.S_IRGRP | stat.S_IROTH)),
    )


def merged(environ: Mapping[str, str], dotenvs: Sequence[DotEnv]) -> dict[str, Given]:
    """All that is set, empty texts left out: the environment first, then the files in their order."""
    given = {name: Given(text, "the environment") for name, text in environ.items() if text}
    for dotenv in dotenvs:
        given = {**dotenv.given, **given}
    return given


def read_variables(given: Mapping[str, Given], *, cwd: Path) -> dict[str, Any]:
    """The value of every variable of the schema by name, its default where it is not set.

    Secrets named by `*_FILE` are read from there, relative to `cwd`; one line break at the end is not part of them.

    Raises:
        ConfigError: a value does not fit, or a file with a secret cannot be read.
    """
    given = {**given, **_from_files(given, cwd)}
    return {name: _value(name, key, given[name]) if name in given else key.default for name, key in ENVIRONMENT.items()}


def unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ConfigError:
    """For a file that is there but gives no text."""
    reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    return ConfigError(
        "CONFIG_UNREADABLE",
        f"{path} cannot be read: {reason}.",
        hint="Check that it is a text file which the user running this command may read.",
    )


def _value(name: str, key: Key, given: Given) -> Any:
    try:
        return key.read(given.text)
    except ValueError as error:
        raise ConfigError(
            "CONFIG_INVALID_VALUE",
            f"{given.origin}: {complaint(name, key, given.text)}",
            hint=f"Correct it: {name} is {key.meaning}.",
        ) from error


def _from_files(given: Mapping[str, Given], cwd: Path) -> dict[str, Given]:
    return {name: _from_file(name, given, cwd) for file_name, name in FILE_NAMES.items() if file_name in given}


def _from_file(name: str, given: Mapping[str, Given], cwd: Path) -> Given:
    file_name = f"{name}{FILE_SUFFIX}"
    if name in given:
        raise ConfigError(
            "CONFIG_CONFLICT",
            f"{name} ({given[name].origin}) and {file_name} ({given[file_name].origin}) are both set.",
            hint="Remove one of the two.",
        )
    path = cwd / given[file_name].text
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    return Given(text.removesuffix("\n").removesuffix("\r"), str(path))


def _malformed(bindings: Sequence[Binding], path: Path) -> list[str]:
    return [f"{path}:{_line(b)}: This line is not NAME=value and is passed over." for b in bindings if b.error]


def _near_misses(given: Mapping[str, Given]) -> list[str]:
    """Names that are not ours but look so; a .env may be shared with other programs, so this is no error."""
    ours = (*ENVIRONMENT, *FILE_NAMES)
    return [
        f"{setting.origin}: {name} is not read. Did you mean {near[0]}?"
        for name, setting in given.items()
        if name not in ours and (near := get_close_matches(name.upper(), ours, n=1, cutoff=NEAR))
    ]


def _line(binding: Binding) -> int:
    """Where a binding itself begins: the parser counts from the blank lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
