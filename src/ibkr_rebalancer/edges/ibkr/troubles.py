"""What can befall a whole connection, and the sentence and hint it becomes for whoever was reading just then."""

from dataclasses import dataclass

from ibkr_rebalancer.core.errors import GatewayUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that ends every request of a connection."""

    code: str
    what: str
    hint: str

    def during(self, occupation: str) -> GatewayUnavailable:
        """The error it is to whoever was occupied just then."""
        return GatewayUnavailable(self.code, f"{self.what} while {occupation}.", hint=self.hint)


NOT_ACCEPTED = Trouble(
    code="GATEWAY_UNREACHABLE",
    what="Nobody accepted the connection",
    hint="Start IB Gateway, and check IBKR_HOST and IBKR_PORT.",
)
SILENT = Trouble(
    code="GATEWAY_NOT_READY",
    what="The gateway did not start a session",
    hint="Approve its login on the phone if it waits for that, and check that its API settings allow socket clients "
    "from this machine.",
)
CUT_OFF = Trouble(
    code="SNAPSHOT_INCOMPLETE",
    what="The gateway closed the connection",
    hint="The gateway may be restarting, or its user may have logged in elsewhere; run the command again in a minute.",
)
CLOSED_BY_US = Trouble(
    code="SNAPSHOT_INCOMPLETE",
    what="We closed the connection to the gateway",
    hint="Run the command again.",
)
UNANSWERED = Trouble(
    code="SNAPSHOT_INCOMPLETE",
    what="The gateway still owed an earlier answer",
    hint="Run the command again; if it lasts, restart the gateway.",
)
LINK_DOWN = Trouble(
    code="LINK_DOWN",
    what="The gateway was not connected to Interactive Brokers",
    hint="The gateway reconnects by itself; run the command again in a few minutes.",
)
NOT_THE_PROTOCOL = Trouble(
    code="GATEWAY_PROTOCOL",
    what="The gateway sent something that cannot be read",
    hint="Run the command again; if it lasts, restart the gateway and report its version.",
)
ID_TAKEN = Trouble(
    code="CLIENT_ID_IN_USE",
    what="Another program was using our client id",
    hint="Set IBKR_CLIENT_ID to a range of ten numbers that no other program uses.",
)
TOO_OLD = Trouble(
    code="GATEWAY_TOO_OLD",
    what="The gateway turned out to be too old",
    hint="Update IB Gateway or TWS.",
)
NO_ACCOUNTS = Trouble(
    code="GATEWAY_NO_ACCOUNTS",
    what="The gateway managed no account",
    hint="Finish the gateway's login, and check that its user may use the API for an account.",
)
