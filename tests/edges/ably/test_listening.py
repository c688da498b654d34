"""Listening to channels while nothing is wrong."""

from tests.support.channels import CHANNEL, SOCKET_ALONE, Kept, listening, published, threads, until
from tests.support.reading import Notices
from tests.support.sandbox import StartSandbox


async def test_a_message_arrives_over_the_socket(start_sandbox: StartSandbox) -> None:
    sandbox, sink, notices = await start_sandbox(), Kept(), Notices()
    async with listening(sandbox, sink, notices=notices, deadlines=SOCKET_ALONE):
        sandbox.publish(CHANNEL, {"execution": "rebalance"})
        await until(lambda: sink.taken)
        await until(lambda: notices.heard)
    assert sink.serials == published(sandbox)
    assert sink.taken[0].data == {"execution": "rebalance"}
    assert [n.event for n in notices.heard] == ["events.up"]
    await until(lambda: not threads())
