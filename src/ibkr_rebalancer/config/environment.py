"""Variables of the environment and of .env files, read along the schema; the process's environment is left alone."""

import io
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv.parser import Binding, parse_stream

from ibkr_rebalancer.config.findings import Unfit, as_error, each, unfit
from ibkr_rebalancer.config.keys import Key, complaint
from ibkr_rebalancer.config.schema import ENVIRONMENT
from ibkr_rebalancer.config.sources import OWN_KEY
from ibkr_rebalancer.core.errors import ConfigError

FILE_SUFFIX = "_FILE"


def variables(own_keys: Iterable[str] = ()) -> Mapping[str, Key]:
    """Every variable that is read, also those that the owner has named for the keys of single sources."""
    return {**dict.fromkeys(own_keys, OWN_KEY), **ENVIRONMENT}


def file_names(known: Mapping[str, Key]) -> Mapping[str, str]:
    """Variables that name a file which holds a secret, and the variable each stands for."""
    return {f"{name}{FILE_SUFFIX}": name for name, key in known.items() if key.secret}


FILE_NAMES = file_names(ENVIRONMENT)

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


def read_dotenv(path: Path, own_keys: Iterable[str] = ()) -> DotEnv:
    """Read a .env file, in python-dotenv's format, without expanding `$NAME` in its values.

    `own_keys` are names that the owner has chosen, for keys of single sources; they are ours like the others.

    Raises:
        ConfigError: it is there, and cannot be read (`CONFIG_UNREADABLE`), or leaves open what one of our names is:
            a line does not set it (`CONFIG_SYNTAX`), or two do (`CONFIG_DUPLICATE_KEY`).
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            bindings = list(parse_stream(io.StringIO(file.read().decode("utf-8-sig"))))
    except FileNotFoundError:
        return DotEnv(path=path, given={}, warnings=(), is_exposed=False)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    known = variables(own_keys)
    ours = (*known, *file_names(known))
    try:
        _refuse_unset(bindings, ours)
        _refuse_repeated(bindings, ours)
    except Unfit as trouble:
        raise as_error(trouble.findings, path) from trouble
    given = {b.key: Given(b.value, f"{path}:{_line(b)}") for b in bindings if b.key and b.value}
    return DotEnv(
        path=path,
        given=given,
        warnings=(*_malformed(bindings, path), *_near_misses(given, ours)),
        is_exposed=bool(mode & (stat.S_IRGRP | stat.S_IROTH)),
    )


def merged(environ: Mapping[str, str], dotenvs: Sequence[DotEnv]) -> dict[str, Given]:
    """All that is set, empty texts left out: the environment first, then the files in their order."""
    given = {name: Given(text, "the environment") for name, text in environ.items() if text}
    for dotenv in dotenvs:
        given = {**dotenv.given, **given}
    return given


def read_variables(given: Mapping[str, Given], *, cwd: Path, own_keys: Iterable[str] = ()) -> dict[str, Any]:
    """The value of every variable of the schema, and of `own_keys`, by name; its default where it is not set.

    Secrets named by `*_FILE` are read from there, relative to `cwd`; one line break at the end is not part of them.

    Raises:
        ConfigError: values do not fit, a file with a secret cannot be read, or one is named for what is no secret.
    """
    _refuse_files_of_no_secrets(given)
    known = variables(own_keys)
    values = {name: key.default for name, key in known.items()}
    errors: list[ConfigError] = []
    for name, one in {**given, **_from_files(given, file_names(known), cwd)}.items():
        if name in known:
            try:
                values[name] = _value(name, known[name], one)
            except ConfigError as error:
                errors.append(error)
    _refuse_all(errors)
    return values


def located(path: str | Path, given: Mapping[str, Given], *, cwd: Path) -> Path:
    """Where a path leads that an owner wrote: from `cwd`, or from home if it begins with `~/`, as in a shell."""
    first, *others = Path(path).parts or ("",)
    return Path(given["HOME"].text, *others) if first == "~" and "HOME" in given else cwd / path


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


def _refuse_all(errors: Sequence[ConfigError]) -> None:
    """Raise what is wrong with several variables as one error, so that all are mended in one go."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        told = "\n".join(f"{error.message} {error.hint}" for error in errors)
        raise ConfigError(errors[0].code, told, hint=f"Correct these {len(errors)} variables.")


def _from_files(given: Mapping[str, Given], names: Mapping[str, str], cwd: Path) -> dict[str, Given]:
    return {name: _from_file(name, given, cwd) for file_name, name in names.items() if file_name in given}


def _from_file(name: str, given: Mapping[str, Given], cwd: Path) -> Given:
    file_name = f"{name}{FILE_SUFFIX}"
    if name in given:
        raise ConfigError(
            "CONFIG_CONFLICT",
            f"{name} ({given[name].origin}) and {file_name} ({given[file_name].origin}) are both set.",
            hint="Remove one of the two.",
        )
    path = located(given[file_name].text, given, cwd=cwd)
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    return Given(text.removesuffix("\n").removesuffix("\r"), str(path))


def _refuse_files_of_no_secrets(given: Mapping[str, Given]) -> None:
    for name in ENVIRONMENT:
        if (named := given.get(f"{name}{FILE_SUFFIX}")) and not ENVIRONMENT[name].secret:
            raise ConfigError(
                "CONFIG_UNKNOWN_KEY",
                f"{named.origin}: {name}{FILE_SUFFIX} is not read: only secrets can be given as a file.",
                hint=f"Remove it, and set {name} itself.",
            )


def _refuse_unset(bindings: Sequence[Binding], ours: Sequence[str]) -> None:
    """Whatever stands on a line that begins with one of our names, its default must not silently stand in for it."""
    names = "|".join(sorted(ours, key=len, reverse=True))
    beginning = re.compile(rf"\s*(?:export\s+)?['\"]?({names})(?![A-Za-z0-9_])")

    def check(binding: Binding) -> None:
        for line, text in enumerate(binding.original.string.lstrip().split("\n"), start=_line(binding)):
            begun = beginning.match(text)
            if begun and (binding.value is None or line > _line(binding)):
                raise unfit(
                    line,
                    "CONFIG_SYNTAX",
                    f"This line begins with {begun[1]}, but does not set it.",
                    hint=f"Write it as {begun[1]}=value, and close every quote, also those of the lines before.",
                )

    each(check, bindings)


def _refuse_repeated(bindings: Sequence[Binding], ours: Sequence[str]) -> None:
    """Nobody can say which of two lines is meant."""
    first_lines: dict[str, int] = {}

    def check(binding: Binding) -> None:
        if binding.key is None or binding.key not in ours:
            return
        if binding.key in first_lines:
            raise unfit(
                _line(binding),
                "CONFIG_DUPLICATE_KEY",
                f"{binding.key} stands here again; it is already given in line {first_lines[binding.key]}.",
                hint="Remove one of the two.",
            )
        first_lines[binding.key] = _line(binding)

    each(check, bindings)


def _malformed(bindings: Sequence[Binding], path: Path) -> list[str]:
    return [f"{path}:{_line(b)}: This line is not NAME=value and is passed over." for b in bindings if b.error]


def _near_misses(given: Mapping[str, Given], ours: Sequence[str]) -> list[str]:
    """Names that are not ours but look so; a .env may be shared with other programs, so this is no error."""
    return [
        f"{setting.origin}: {name} is not read. Did you mean {near[0]}?"
        for name, setting in given.items()
        if name not in ours and (near := get_close_matches(name.upper(), ours, n=1, cutoff=NEAR))
    ]


def _line(binding: Binding) -> int:
    """Where a binding itself begins: the parser counts from the blank lines before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
