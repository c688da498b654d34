"""Find accounts.yaml and .env, read both, and hand out Settings or one ConfigError.

The environment beats .env in the working folder, which beats .env beside accounts.yaml.
"""

import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ibkr_rebalancer.config.accounts import read_accounts
from ibkr_rebalancer.config.environment import (
    FILE_SUFFIX,
    DotEnv,
    Given,
    file_names,
    located,
    merged,
    read_dotenv,
    read_variables,
    unreadable,
)
from ibkr_rebalancer.config.environment import variables as known_variables
from ibkr_rebalancer.config.findings import Unfit, as_error
from ibkr_rebalancer.config.outbound import secrets_of
from ibkr_rebalancer.config.schema import ENVIRONMENT, GATEWAY_PORTS
from ibkr_rebalancer.config.settings import Gateway, Outbound, Realtime, Settings
from ibkr_rebalancer.config.strict_yaml import parse
from ibkr_rebalancer.core.addresses import is_file
from ibkr_rebalancer.core.doctor import FileMode
from ibkr_rebalancer.core.errors import ConfigError
from ibkr_rebalancer.core.notifications import Wishes
from ibkr_rebalancer.core.policy import ALLOCATIONS_API_KEY, Account
from ibkr_rebalancer.core.portfolio import TradingMode

FILE_NAME = "accounts.yaml"
SMALLEST = (
    '- {account_id: DU123456, notification: {channel: rebalance}, allocations: {url: "https://example.com/targets"}}'
)
"""An accounts.yaml with all that it must have."""
DOTENV = ".env"
USER_FOLDER = "ibkr-rebalancer"
SYSTEM_FOLDER = Path("/etc/ibkr-rebalancer")
SYSTEM_STATE = Path("/var/lib/ibkr-rebalancer")
"""For a user without a home, such as a service's."""

ADDRESSES = frozenset({"NOTIFICATION_URLS", "HEARTBEAT_URL"})
"""Secret variables that are addresses, and have secrets in them."""
OF_GATEWAY = ("TRADING_MODE", "IBKR_HOST", "IBKR_PORT", "IBKR_CLIENT_ID")
"""The variables that say which gateway is asked, and as whom."""

TOKEN = re.compile(r"(?=.*[0-9]).{12,}")
"""What in a URL's path may be a secret: too long and too odd to be a word that logs need."""


def load_settings(path: Path | None, *, environ: Mapping[str, str], cwd: Path, state: Path | None = None) -> Settings:
    """The settings of this run, from the accounts.yaml at `path` or the first of the usual places that has one.

    `state` names the folder of the journal, and beats REBALANCER_STATE.

    Raises:
        ConfigError: something in it is missing, misspelt, out of range or contradicts something else.
    """
    config_path, text = _first_file(_places(path, merged(environ, [read_dotenv(cwd / DOTENV)]), cwd))
    accounts = _accounts(config_path, text)
    key_names = dict.fromkeys(account.api_key_env for account in accounts)
    folders = [cwd] if config_path.parent.samefile(cwd) else [cwd, config_path.parent]
    dotenvs = [read_dotenv(folder / DOTENV, key_names) for folder in folders]
    given = merged(environ, dotenvs)
    variables = read_variables(given, cwd=cwd, own_keys=key_names)
    _require_keys(accounts, variables, config_path)
    mode = variables["TRADING_MODE"]
    return Settings(
        accounts=accounts,
        mode=mode,
        gateway=_gateway(variables),
        allocations_api_keys={name: variables[name] for name in key_names if variables[name]},
        realtime=Realtime(api_key=variables["REALTIME_API_KEY"], endpoint=variables["REALTIME_ENDPOINT"]),
        outbound=Outbound(
            addresses=variables["NOTIFICATION_URLS"] or (),
            wishes=Wishes(level=variables["NOTIFICATION_LEVEL"], with_amounts=variables["NOTIFICATION_DETAILS"]),
            heartbeat_url=variables["HEARTBEAT_URL"],
        ),
        log_level=variables["LOG_LEVEL"],
        config_path=config_path,
        state_path=_state_path(state, given, cwd),
        secrets=_secrets(variables, accounts),
        doubts=tuple(warning for dotenv in dotenvs for warning in dotenv.warnings),
        exposed=_exposed(dotenvs, mode),
    )


def load_gateway(path: Path | None, *, environ: Mapping[str, str], cwd: Path) -> tuple[TradingMode, Gateway]:
    """The mode and the gateway that `load_settings` would give, whatever accounts.yaml and the secrets are, if any.

    Raises:
        ConfigError: a variable of the gateway or a .env file is wrong.
    """
    given = merged(environ, _dotenvs(path, environ, cwd))
    variables = read_variables({name: given[name] for name in OF_GATEWAY if name in given}, cwd=cwd)
    return variables["TRADING_MODE"], _gateway(variables)


def settings_files(
    path: Path | None, *, environ: Mapping[str, str], cwd: Path, own_keys: Iterable[str] = ()
) -> tuple[FileMode, ...]:
    """The files that settings come from, where they are: accounts.yaml, .env and those named by `*_FILE`.

    `own_keys` are the variables that the owner has named. What systemd hands to this service alone is not among the
    files, whatever its mode says: systemd.exec(5), `LoadCredential=`.

    Raises:
        ConfigError: a .env cannot be read.
        OSError: a file is there, and cannot be looked at.
    """
    dotenvs = _dotenvs(path, environ, cwd)
    given = merged(environ, dotenvs)
    accounts = _first_there(_places(path, given, cwd))
    secret = [dotenv.path for dotenv in dotenvs]
    named = file_names(known_variables(own_keys))
    secret += [located(given[name].text, given, cwd=cwd) for name in named if name in given]
    handed = environ.get("CREDENTIALS_DIRECTORY")
    if handed:
        secret = [file for file in secret if not file.is_relative_to(handed)]
    files = [*([(accounts, False)] if accounts else []), *((file, True) for file in secret)]
    return tuple(
        FileMode(path=str(file), mode=stat.S_IMODE(file.stat().st_mode), is_secret=is_secret)
        for file, is_secret in files
        if file.is_file()
    )


def find_state(path: Path | None, *, environ: Mapping[str, str], cwd: Path, state: Path | None = None) -> Path:
    """The folder of the journal that `load_settings` would give, whatever accounts.yaml says, and also if it is gone.

    Raises:
        ConfigError: it is in doubt: a .env that could name it cannot be read, or accounts.yaml is in none of its places
            and the .env files there lead to different folders (`STATE_UNKNOWN`).
    """
    if state or environ.get("REBALANCER_STATE"):
        return _state_path(state, merged(environ, ()), cwd)
    try:
        return _only_state(path, environ, cwd)
    except ConfigError as doubt:
        hint = f"{doubt.hint} Or name the state folder with --state."
        raise ConfigError(doubt.code, doubt.message, hint=hint) from doubt


def _dotenvs(path: Path | None, environ: Mapping[str, str], cwd: Path) -> list[DotEnv]:
    """The .env of the working folder, and the one beside accounts.yaml if that is elsewhere; without one, where it
    would be."""
    dotenvs = [read_dotenv(cwd / DOTENV)]
    places = _places(path, merged(environ, dotenvs), cwd)
    folder = (_first_there(places) or places[0]).parent
    if folder.is_dir() and not folder.samefile(cwd):
        dotenvs.append(read_dotenv(folder / DOTENV))
    return dotenvs


def _gateway(variables: Mapping[str, Any]) -> Gateway:
    return Gateway(
        host=variables["IBKR_HOST"],
        port=variables["IBKR_PORT"] or GATEWAY_PORTS[variables["TRADING_MODE"]],
        client_id=variables["IBKR_CLIENT_ID"],
    )


def _only_state(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The folder that every place leads to where accounts.yaml is, or could be if it is nowhere."""
    dotenv = read_dotenv(cwd / DOTENV)
    places = _places(path, merged(environ, [dotenv]), cwd)
    there = _first_there(places)
    leading: dict[Path, Path] = {}
    for place in [there] if there else places:
        given = merged(environ, [dotenv, read_dotenv(place.parent / DOTENV)])
        leading.setdefault(_state_path(None, given, cwd), place)
    if len(leading) > 1:
        folders = " or ".join(f"{folder} (if it belongs to {place})" for folder, place in leading.items())
        raise ConfigError(
            "STATE_UNKNOWN",
            f"There is no {FILE_NAME}, and without it the state may be in {folders}.",
            hint=f"Put {FILE_NAME} back, or name it with -c.",
        )
    return next(iter(leading))


def _places(path: Path | None, given: Mapping[str, Given], cwd: Path) -> list[Path]:
    """Where to look: the one place that was named, else the usual ones."""
    if path:
        return [located(path, given, cwd=cwd)]
    if "REBALANCER_CONFIG" in given:
        return [located(given["REBALANCER_CONFIG"].text, given, cwd=cwd)]
    folders = [cwd]
    if "XDG_CONFIG_HOME" in given:
        folders.append(Path(given["XDG_CONFIG_HOME"].text, USER_FOLDER))
    elif "HOME" in given:
        folders.append(Path(given["HOME"].text, ".config", USER_FOLDER))
    return [folder / FILE_NAME for folder in (*folders, SYSTEM_FOLDER)]


def _state_path(state: Path | None, given: Mapping[str, Given], cwd: Path) -> Path:
    """Where the journal is kept: as the command says, as REBALANCER_STATE does, or in the usual place."""
    if state is None and "REBALANCER_STATE" in given:
        return cwd / given["REBALANCER_STATE"].text
    return cwd / (state or _usual_state(given))


def _usual_state(given: Mapping[str, Given]) -> Path:
    if "XDG_STATE_HOME" in given:
        return Path(given["XDG_STATE_HOME"].text, USER_FOLDER)
    if "HOME" in given:
        return Path(given["HOME"].text, ".local", "state", USER_FOLDER)
    return SYSTEM_STATE


def _first_file(places: Sequence[Path]) -> tuple[Path, str]:
    place = _first_there(places)
    if place is None:
        raise ConfigError(
            "CONFIG_NOT_FOUND",
            f"There is no {' and no '.join(map(str, places))}.",
            hint=f"Name the file with -c, or run: rebalancer init -c {places[0]}. Or write this there, with your own "
            f"values: {SMALLEST}",
        )
    try:
        return place, place.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(place, error) from error


def _first_there(places: Sequence[Path]) -> Path | None:
    """The first place that has a file, whether or not it can be read."""
    return next((place for place in places if _is_there(place)), None)


def _is_there(place: Path) -> bool:
    try:
        place.stat()
    except FileNotFoundError:
        return False
    except OSError:  # it cannot even be looked at, and whoever reads it says why
        return True
    return True


def _accounts(path: Path, text: str) -> tuple[Account, ...]:
    try:
        return read_accounts(parse(text), folder=path.parent)
    except Unfit as trouble:
        raise as_error(trouble.findings, path) from trouble


def _require_keys(accounts: Sequence[Account], variables: Mapping[str, Any], path: Path) -> None:
    """Raise ConfigError if an account that takes part names a variable for its key, and it is not set."""
    for account in accounts:
        name = account.api_key_env
        if account.enabled and name != ALLOCATIONS_API_KEY and not variables[name]:
            raise ConfigError(
                "CONFIG_MISSING_KEY",
                f"{path}: the key for the targets of {account.account_id} is to be in {name}, which is not set.",
                hint=f"Set {name}, or {name}{FILE_SUFFIX}, in the environment or in .env.",
            )


def _secrets(variables: Mapping[str, Any], accounts: Sequence[Account]) -> tuple[str, ...]:
    """The secret values, what follows a colon in them (an Ably key is `name:secret`), and those in URLs."""
    own = [name for name in variables if name not in ENVIRONMENT]
    secret = [name for name, key in ENVIRONMENT.items() if key.secret and name not in ADDRESSES]
    keys = [variables[name] for name in (*secret, *own) if variables[name]]
    halves = [key.partition(":")[2] for key in keys]
    urls = [account.allocations_url for account in accounts if not is_file(account.allocations_url)]
    in_urls = [secret for url in urls for secret in _secrets_in(url)]
    addresses = [*(variables["NOTIFICATION_URLS"] or ()), *filter(None, [variables["HEARTBEAT_URL"]])]
    in_addresses = [secret for address in addresses for secret in secrets_of(address)]
    return tuple(dict.fromkeys(text for text in (*keys, *halves, *in_urls, *in_addresses) if text))


def _secrets_in(url: str) -> Iterator[str]:
    """The query, and what in path and query looks like a token: as it stands, and decoded, for all who encode it anew.

    Bytes that are no text are surrogates in it.
    """
    parts = urlsplit(url)
    values = [pair.partition("=")[2] for pair in parts.query.split("&")]
    tokens = [word for word in (*parts.path.split("/"), *values) if TOKEN.fullmatch(word)]
    for secret in (parts.query, *tokens):
        yield secret
        yield unquote(secret, errors="surrogateescape")


def _exposed(dotenvs: Sequence[DotEnv], mode: TradingMode) -> tuple[Path, ...]:
    """Files with secrets that others may read; for real money that is an error."""
    exposed = tuple(dotenv.path for dotenv in dotenvs if dotenv.is_exposed)
    if exposed and mode is TradingMode.LIVE:
        raise ConfigError(
            "CONFIG_SECRETS_EXPOSED",
            f"Other users of this machine may read {exposed[0]}, and TRADING_MODE is live.",
            hint=f"Run: chmod 600 {exposed[0]}",
        )
    return exposed
