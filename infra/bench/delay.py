"""A door on loopback before a server on it, which holds every answer for a while when it is told to.

python -m infra.bench.delay --behind 6379        (SIGUSR1: slow from now on, SIGUSR2: no more; the address is printed)
"""

import argparse
import asyncio
import signal
from contextlib import suppress

from infra.bench.mock_provider import HOST, LISTENING

#: Seconds that an answer is held.
SLOW_S = 0.3


class Delay:
    """Connections to a port, and how long their answers are held now."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._seconds = 0.0

    async def serve(self) -> None:
        """Until the process ends."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._hold, SLOW_S)
        loop.add_signal_handler(signal.SIGUSR2, self._hold, 0.0)
        server = await asyncio.start_server(self._connected, HOST, 0)
        print(f"{LISTENING} {server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - who started it reads this
        async with server:
            await server.serve_forever()

    def _hold(self, seconds: float) -> None:
        self._seconds = seconds

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(HOST, self._behind)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass_on(reader, back, held=False), self._pass_on(there, writer, held=True))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(2**16):
                if held and self._seconds:
                    await asyncio.sleep(self._seconds)
                writer.write(data)
                await writer.drain()
        writer.close()


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--behind", type=int, required=True)
    uvloop.run(Delay(parser.parse_args().behind).serve())
