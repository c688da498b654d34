"""Try what a key may do with channels: attach to them for a moment, and look up what was published there."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta

from ibkr_rebalancer.core.doctor import KEY_REFUSED, NOT_PERMITTED, UNREACHABLE, EventAccess
from ibkr_rebalancer.core.errors import ConfigError, RebalancerError, Refused
from ibkr_rebalancer.edges.ably.attachments import UNATTACHED
from ibkr_rebalancer.edges.ably.deadlines import DEADLINES, Deadlines
from ibkr_rebalancer.edges.ably.history import History
from ibkr_rebalancer.edges.ably.live import Discontinuity, Hearing, LiveClient, Signal
from ibkr_rebalancer.edges.ably.own_loop import in_own_loop
from ibkr_rebalancer.edges.ably.troubles import AblyTrouble, Kind, Trouble
from ibkr_rebalancer.ports import Clock

NOT_IN_TIME = Trouble(kind=Kind.LINE, why="no connection was made in time")


async def try_channels(
    channels: Collection[str], *, api_key: str, endpoint: str | None, clock: Clock, deadlines: Deadlines = DEADLINES
) -> EventAccess:
    """What the key may do on these channels, tried as a watch would use them; nothing is published or kept."""
    live = in_own_loop(
        lambda: _attached(channels, api_key=api_key, endpoint=endpoint, clock=clock, deadlines=deadlines),
        linger_s=2 * deadlines.close_s,
    )
    history = History(api_key=api_key, endpoint=endpoint, clock=clock, deadlines=deadlines)
    deaf, blind = await asyncio.gather(live, _looked_up(channels, history, clock))
    return EventAccess(
        deaf=[
            _error(trouble, "cannot be heard as they are published", [name for name in deaf if deaf[name] == trouble])
            for trouble in dict.fromkeys(deaf.values())
        ],
        blind={
            channel: _error(trouble, "cannot be looked up afterwards", [channel]) for channel, trouble in blind.items()
        },
    )


async def _attached(
    channels: Collection[str], *, api_key: str, endpoint: str | None, clock: Clock, deadlines: Deadlines
) -> Mapping[str, Trouble]:
    """Why channels could not be attached to, for those that could not."""
    signals: asyncio.Queue[Signal] = asyncio.Queue()
    client = LiveClient(
        api_key=api_key, endpoint=endpoint, channels=channels, clock=clock, deadlines=deadlines, tell=signals.put_nowait
    )
    heard: dict[str, Trouble | None] = {}
    running, settling = asyncio.create_task(client.run()), asyncio.create_task(_settled(channels, signals, heard))
    ended, _ = await asyncio.wait({running, settling}, timeout=deadlines.answer_s, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, settling):
        task.cancel()
    await asyncio.wait({running, settling})
    if settling not in ended and running in ended and isinstance(end := running.result(), Trouble):
        return dict.fromkeys(channels, end)
    told = {name: heard.get(name, NOT_IN_TIME) for name in channels}
    return {name: trouble for name, trouble in told.items() if trouble is not None}


async def _settled(
    channels: Collection[str], signals: "asyncio.Queue[Signal]", heard: dict[str, Trouble | None]
) -> None:
    """Wait until something is known of each channel: what is wrong with it, or None once it is attached."""
    while heard.keys() != set(channels):
        match await signals.get():
            case Discontinuity(channel=channel):
                heard[channel] = None
            case Hearing(channels=told):
                heard |= {name: trouble for name, trouble in told.items() if trouble is not UNATTACHED}


async def _looked_up(channels: Collection[str], history: History, clock: Clock) -> Mapping[str, Trouble]:
    """Why the past of channels cannot be read, for those where it cannot."""
    troubles: dict[str, Trouble] = {}
    try:
        for channel in channels:
            try:
                await history.reaches(channel, clock.now() - timedelta(days=1))
            except AblyTrouble as failure:
                troubles[channel] = failure.trouble
    finally:
        await history.close()
    return troubles


def _error(trouble: Trouble, what: str, channels: Collection[str]) -> RebalancerError:
    text = f"Events on {', '.join(channels)} {what}: {trouble.why}."
    match trouble.kind:
        case Kind.KEY:
            return ConfigError(KEY_REFUSED, text, hint="Check REALTIME_API_KEY, and that the key is not revoked.")
        case Kind.CAPABILITY:
            hint = "Give the key the capabilities subscribe and history on these channels, or name the right channel."
            return ConfigError(NOT_PERMITTED, text, hint=hint)
        case Kind.LINE:
            hint = "Check this machine's way to Ably (DNS, proxy, firewall) and REALTIME_ENDPOINT, then run it again."
            return Refused(UNREACHABLE, text, hint=hint)
