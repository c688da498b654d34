"""What can befall a whole connection, and the sentence and hint it becomes for whoever met it."""

from dataclasses import dataclass

from ibkr_rebalancer.core.errors import GatewayUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that ends every request of a connection, or keeps it from starting."""

    code: str
    what: str
    """The beginning of a sentence that goes on with `while ...`, or with `at ...` if it is met at the start."""
    hint: str

    def during(self, occupation: str) -> GatewayUnavailable:
        """The error it is to a request, in the middle of a session."""
        return GatewayUnavailable(self.code, f"{self.what} while {occupation}.", hint=self.hint)

    def at(self, address: str) -> GatewayUnavailable:
        """The error it is to whoever wanted a session at `host:port`."""
        return GatewayUnavailable(self.code, f"{self.what} at {address}.", hint=self.hint)


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
STUCK = Trouble(
    code="SNAPSHOT_INCOMPLETE",
    what="The gateway took nothing any more from the connection",
    hint="Restart the gateway, then run the command again.",
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

# At the start of a session:

USUAL_PORTS = "IB Gateway listens on 4002 (paper) or 4001 (live)"
LET_US_IN = (
    "Approve the gateway's login on the phone if it waits for that, and check that its API settings allow socket "
    "clients from this machine."
)

NOT_ACCEPTED = Trouble(
    code="GATEWAY_UNREACHABLE",
    what="Nothing accepted the connection in time",
    hint="Start IB Gateway and finish its login (also on the phone, if it asks there), and check IBKR_HOST and "
    f"IBKR_PORT: {USUAL_PORTS}.",
)
SILENT = Trouble(
    code="GATEWAY_NOT_READY", what="No session was started by the gateway that accepts connections", hint=LET_US_IN
)
HUNG_UP = Trouble(
    code="GATEWAY_NOT_READY",
    what="Before a session had started, the connection was closed by the gateway",
    hint=LET_US_IN,
)
NO_GATEWAY = Trouble(
    code="GATEWAY_PROTOCOL",
    what="Something that is not an Interactive Brokers gateway answers",
    hint=f"Check IBKR_HOST and IBKR_PORT: {USUAL_PORTS}.",
)
TOO_OLD = Trouble(
    code="GATEWAY_TOO_OLD",
    what="A gateway that is too old answers",
    hint="Update IB Gateway or TWS.",
)
NO_ACCOUNTS = Trouble(
    code="GATEWAY_NO_ACCOUNTS",
    what="A gateway that manages no account answers",
    hint="Finish the gateway's login, and check that its user may use the API for an account.",
)
OFFLINE = Trouble(
    code=LINK_DOWN.code,
    what="A gateway that is not connected to Interactive Brokers answers",
    hint=LINK_DOWN.hint,
)
ID_TAKEN = Trouble(
    code="CLIENT_ID_IN_USE",
    what="Another program uses our client id",
    hint="Wait until other commands have finished. Where the other program is no rebalancer, give it other numbers, or "
    "us with IBKR_CLIENT_ID, but not while orders of ours are open: only the client id that placed an order can cancel "
    "it. Two rebalancers on one account need the same IBKR_CLIENT_ID: over two, both may send the same orders.",
)

AT_START = {CUT_OFF: HUNG_UP, NOT_THE_PROTOCOL: NO_GATEWAY, LINK_DOWN: OFFLINE}
"""What means something else when it is met before a session has started."""
