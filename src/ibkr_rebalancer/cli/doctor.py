"""`rebalancer doctor`: ask everything that a run depends on, and say what is wrong and what to do."""

from typing import TYPE_CHECKING

from ibkr_rebalancer.cli.options import Accounts, Config, Json, State, Verbose

if TYPE_CHECKING:
    from ibkr_rebalancer.config.settings import Settings
    from ibkr_rebalancer.core.errors import ConfigError


def doctor(
    accounts: Accounts = None,
    config: Config = None,
    state: State = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Check all that a run depends on, and say what to do.

    Each line says ok, warning or problem, and what to do. Without ACCOUNT, of every enabled account in accounts.yaml.
    Nothing is traded. The broker is asked for the preview of one order, as only that tells whether the gateway takes
    any. The exit code is 0, or that of the gravest problem; warnings don't count.

    \b
    Examples:
      rebalancer doctor                all that watch and execute depend on
      rebalancer doctor DU123456       for this account
      rebalancer doctor --json         one JSON document
    """
    import asyncio

    from ibkr_rebalancer.checkup import check_up, read_settings
    from ibkr_rebalancer.cli.output import show, show_document
    from ibkr_rebalancer.cli.progress import Progress
    from ibkr_rebalancer.cli.tables import findings_view
    from ibkr_rebalancer.core.doctor import exit_code
    from ibkr_rebalancer.core.documents import document

    settings = read_settings(config, state=state)
    _log(settings, verbose=verbose)
    with Progress(as_log=verbose) as progress:
        found = asyncio.run(check_up(settings, *accounts or (), path=config, state=state, observer=progress))
    if as_json:
        show_document(document("doctor", checks=found))
    else:
        show(findings_view(found))
    return exit_code(found)


def _log(settings: "Settings | ConfigError", *, verbose: bool) -> None:
    """Logging as the settings say, as far as there are any."""
    from ibkr_rebalancer.config.settings import Settings
    from ibkr_rebalancer.edges.logs import configure_logging

    if isinstance(settings, Settings):
        configure_logging("INFO" if verbose else settings.log_level, secrets=settings.secrets)
    else:
        configure_logging("INFO" if verbose else "WARNING", secrets=())
