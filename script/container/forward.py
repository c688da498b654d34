"""Pass TCP connections on: `forward.py LISTEN_HOST:PORT=HOST:PORT …`, until killed.

It is what socat is in a gateway's container: the sandbox, like the gateway, answers on loopback only.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter


async def _copy(source: StreamReader, sink: StreamWriter) -> None:
    try:
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


async def _listen(listen: str, target: str) -> None:
    async def pass_on(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            host, _, port = target.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(pass_on, host, int(port))
    await server.serve_forever()


async def _main(pairs: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for pair in pairs:
            listen, _, target = pair.partition("=")
            group.create_task(_listen(listen, target))


asyncio.run(_main(sys.argv[1:]))
