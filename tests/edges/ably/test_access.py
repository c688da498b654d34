"""What a key may do with channels, tried with Ably's own client; each refusal is told apart from a lost line."""

import gc
import socket
import warnings
from dataclasses import replace

import pytest
from tests.support.channels import CHANNEL, QUICK
from tests.support.sandbox import LOOPBACK, StartSandbox, events, realtime_fault

from ibkr_rebalancer.core.doctor import EventAccess
from ibkr_rebalancer.core.errors import RebalancerError
from ibkr_rebalancer.edges.ably.access import try_channels
from ibkr_rebalancer.edges.ably.deadlines import Deadlines
from ibkr_rebalancer.edges.host import SystemClock
from ibkr_rebalancer.sandbox.run import Sandbox

OTHER = "closed"
SHORT = replace(QUICK, answer_s=0.3)


async def tried(sandbox: Sandbox, *channels: str, deadlines: Deadlines = QUICK, **changed: str) -> EventAccess:
    named = {"api_key": sandbox.env["REALTIME_API_KEY"], "endpoint": sandbox.env["REALTIME_ENDPOINT"], **changed}
    return await try_channels(channels or (CHANNEL,), **named, clock=SystemClock(), deadlines=deadlines)


def codes(errors: list[RebalancerError]) -> list[tuple[int, str]]:
    return [(error.exit_code, error.code) for error in errors]


async def test_all_is_well_and_nothing_is_left_behind(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(channels=[CHANNEL, OTHER])
    access = await tried(sandbox, CHANNEL, OTHER)
    assert access == EventAccess(deaf=[], blind={})
    assert {attached["channel"] for attached in events(sandbox.log, "attached")} == {CHANNEL, OTHER}
    assert not events(sandbox.log, "published")


@pytest.mark.parametrize(
    ("operations", "is_deaf", "is_blind"),
    [(["subscribe"], False, True), (["history"], True, False), (["publish"], True, True)],
)
async def test_each_capability_is_tried(
    start_sandbox: StartSandbox, operations: list[str], is_deaf: bool, is_blind: bool
) -> None:
    sandbox = await start_sandbox(realtime={"operations": operations})
    access = await tried(sandbox)
    refused = [(78, "EVENTS_NOT_PERMITTED")]
    assert codes([*access.deaf]) == (refused if is_deaf else [])
    assert codes([*access.blind.values()]) == (refused if is_blind else [])
    for error in (*access.deaf, *access.blind.values()):
        assert CHANNEL in error.message
        assert "subscribe and history" in error.hint


async def test_no_socket_is_left_behind_by_a_client_that_was_just_giving_up(start_sandbox: StartSandbox) -> None:
    """What is collected unclosed fails a test; what earlier tests have left is not meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    sandbox = await start_sandbox(realtime={"operations": ["history"]}, faults=[realtime_fault("CLOSED", "drop")])
    await tried(sandbox, deadlines=replace(QUICK, refused_pause_s=-1))
    gc.collect()


async def test_a_channel_that_the_key_does_not_open_is_named(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(channels=[CHANNEL])
    access = await tried(sandbox, CHANNEL, OTHER)
    (error,) = access.deaf
    assert error.message == (
        f"Events on {OTHER} cannot be heard as they are published: the API key may not subscribe to them (error 40160)."
    )
    assert [*access.blind] == [OTHER]


async def test_a_key_that_ably_does_not_know(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    access = await tried(sandbox, api_key="no.such:key")
    assert codes([*access.deaf, *access.blind.values()]) == [(78, "EVENTS_KEY_REFUSED")] * 2
    assert "no.such" not in access.deaf[0].message


async def test_nobody_answers(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        endpoint = f"http://{LOOPBACK}:{probe.getsockname()[1]}"
    access = await tried(sandbox, endpoint=endpoint, deadlines=SHORT)
    assert codes([*access.deaf, *access.blind.values()]) == [(11, "EVENTS_UNREACHABLE")] * 2


async def test_a_channel_that_is_never_attached_ends_with_the_deadline(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(faults=[realtime_fault("ATTACHED", "drop")])
    access = await tried(sandbox, deadlines=SHORT)
    assert codes([*access.deaf]) == [(11, "EVENTS_UNREACHABLE")]
    assert access.blind == {}
