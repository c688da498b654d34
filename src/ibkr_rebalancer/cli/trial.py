"""`rebalancer test-notification`: send one notification to each address, and say what became of it."""

from typing import TYPE_CHECKING

from ibkr_rebalancer.cli.options import Config, Json, Verbose
from ibkr_rebalancer.core.errors import EXIT_DONE, ConfigError, Refused, gravest

if TYPE_CHECKING:
    from ibkr_rebalancer.edges.notifications import Delivery

TITLE = "rebalancer: a test"
TEXT = "Notifications of rebalancer arrive here."


def test_notification(config: Config = None, as_json: Json = False, verbose: Verbose = False) -> int:
    """Send a notification to try each address.

    The addresses are those of NOTIFICATION_URLS. It says what became of each; of an address only its scheme and host
    are shown. The exit code is 0 if all services have taken theirs, 11 if one has not, and 78 if there is no address or
    one that cannot be used.

    \b
    Examples:
      rebalancer test-notification
      rebalancer test-notification --json
    """
    from ibkr_rebalancer.cli.output import show_document, show_sentence
    from ibkr_rebalancer.cli.session import read_settings
    from ibkr_rebalancer.core.addresses import shown_address
    from ibkr_rebalancer.core.documents import document
    from ibkr_rebalancer.edges.notifications import try_out

    addresses = read_settings(config, verbose=verbose).outbound.addresses
    if not addresses:
        raise ConfigError(
            "CONFIG_MISSING_KEY",
            "NOTIFICATION_URLS is not set, so nobody is told anything.",
            hint="Set it in the environment or in .env: an address of apprise, such as tgram://TOKEN/CHAT.",
        )
    outcomes = try_out(addresses, TITLE, TEXT)
    told = list(zip(map(shown_address, addresses), outcomes, strict=True))
    if as_json:
        deliveries = [{"address": address, "outcome": outcome} for address, outcome in told]
        show_document(document("notification", deliveries=deliveries))
    else:
        for number, (address, outcome) in enumerate(told, start=1):
            show_sentence(f"{number}. {address}: {_words(outcome)}")
    return gravest(map(_exit_code, outcomes))


def _words(outcome: "Delivery") -> str:
    from ibkr_rebalancer.edges.notifications import ANSWER_S, Delivery

    return {
        Delivery.SENT: "sent; the service has taken it",
        Delivery.FAILED: "not sent: the service refused it or cannot be reached. Check the address and its secret",
        Delivery.UNANSWERED: f"no answer within {ANSWER_S:g} seconds; nobody knows whether it was taken",
        Delivery.UNUSABLE: "apprise cannot use this address. See its page for how it must look",
    }[outcome]


def _exit_code(outcome: "Delivery") -> int:
    from ibkr_rebalancer.edges.notifications import Delivery

    match outcome:
        case Delivery.SENT:
            return EXIT_DONE
        case Delivery.UNUSABLE:
            return ConfigError.exit_code
        case _:
            return Refused.exit_code
