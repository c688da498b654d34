"""Who is told what a command does without anybody looking: notifications, and a monitor that hears a heartbeat."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from ibkr_rebalancer.config.settings import Settings
from ibkr_rebalancer.core.errors import EXIT_BUG, Busy, RebalancerError
from ibkr_rebalancer.core.notices import Notice, RunNews, Severity
from ibkr_rebalancer.core.notifications import run_notice
from ibkr_rebalancer.core.portfolio import AccountId
from ibkr_rebalancer.core.report import Report
from ibkr_rebalancer.core.runs import COMMAND
from ibkr_rebalancer.edges.logs import redacted
from ibkr_rebalancer.edges.notifications import END_S, Notifications
from ibkr_rebalancer.flows.telling import Teller
from ibkr_rebalancer.ports import Observer

FIRST_SENT_S = 20.0
"""What a command gets that only ends by telling: apprise is loaded then, which takes some seconds on a slow machine."""


@contextmanager
def telling(settings: Settings, observer: Observer, *, end_s: float = END_S) -> Iterator[Teller]:
    """An observer that tells the configured addresses, and at the end waits so long for what is still to be sent."""
    sending = Notifications(settings.outbound.addresses, tell=observer.notify)
    try:
        yield Teller(settings.outbound.wishes, send=sending.send, clean=redacted, observer=observer)
    finally:
        sending.close(within_s=end_s)


@contextmanager
def life_told(teller: Teller, settings: Settings, *, dry_run: bool) -> Iterator[Callable[[], None]]:
    """Tell of the beginning and the end of a watch; what is yielded is to be called as often as its loop turns."""
    kind = "dry runs only" if dry_run else "rebalancing"
    start = Notice(event="watch.start", text=f"It listens for events ({settings.mode.value}, {kind}).")
    stop = Notice(event="watch.stop", text="It was told to stop. Events wait until it is started again.")
    with ExitStack() as stack:
        beat = _heartbeat(stack, settings, teller)

        def pulse() -> None:
            teller.tell(start)  # once, as all else
            beat()

        try:
            yield pulse
        except Busy:  # another one goes on
            raise
        except KeyboardInterrupt:  # told twice, while no order was open
            teller.tell(stop)
            raise
        except Exception as error:  # raised again: who is not looking has to hear of defects, too
            text = f"Events are no longer carried out. {_sentence(error)}"
            teller.tell(Notice(event="watch.fail", text=text, severity=Severity.WARNING))
            raise
        teller.tell(stop)


def tell_outcomes(
    outcomes: Mapping[AccountId, Report | RebalancerError], settings: Settings, observer: Observer
) -> None:
    """Tell what came of a command that nobody was asked about."""
    _tell([run_notice(account, outcome) for account, outcome in outcomes.items()], settings, observer)


@contextmanager
def failure_told(settings: Settings, observer: Observer) -> Iterator[None]:
    """Tell why such a command has no outcomes at all."""
    try:
        yield
    except RebalancerError as error:
        _tell([run_notice(None, error)], settings, observer)
        raise
    except Exception as bug:  # raised again, likewise
        news = RunNews(trigger=COMMAND, exit_code=EXIT_BUG, code="BUG", hint="", report=None)
        _tell([Notice(event="run.end", text=_sentence(bug), news=news)], settings, observer)
        raise


def _tell(notices: list[Notice], settings: Settings, observer: Observer) -> None:
    """Tell it now that all is done: before, even to prepare it would have taken time from trading."""
    with telling(settings, observer, end_s=FIRST_SENT_S) as teller:
        for notice in notices:
            teller.tell(notice)


def _heartbeat(stack: ExitStack, settings: Settings, teller: Teller) -> Callable[[], None]:
    url = settings.outbound.heartbeat_url
    if url is None:
        return lambda: None
    from ibkr_rebalancer.edges.heartbeat import Heartbeat

    return stack.enter_context(Heartbeat(url, tell=teller.notify)).beat


def _sentence(error: Exception) -> str:
    if isinstance(error, RebalancerError):
        return f"{error.message} {error.hint}"
    noted = " ".join(getattr(error, "__notes__", []))
    return f"A defect of rebalancer has ended it ({type(error).__name__}). {noted} Please report it with its log."
