"""What encryption costs: a message sealed and opened, and a chat's session read and written with it and without.

make bench-encryption
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from chains.conversations import Conversations
from chains.messages import Assistant, User
from core.database import Database, migrate
from core.encryption.envelope import Place
from core.principals import SYSTEM
from core.settings import Settings

_TIMES, _ROUNDS = 200, 7
_SAID = "How many days of leave are there in the first year, and when may they be taken? " * 5


async def cpu_us(work: Callable[[int], Awaitable[object]]) -> float:
    """Microseconds of this process for one call, the median of several rounds."""
    taken = []
    for round_number in range(_ROUNDS):
        started = time.process_time()
        for number in range(_TIMES):
            await work(round_number * _TIMES + number)
        taken.append((time.process_time() - started) / _TIMES * 1e6)
    return statistics.median(taken)


async def session_us(directory: Path, source: str | None) -> float:
    """A request's turn in a session of six messages: its history read, question and answer added."""
    settings = Settings.load(data_dir=directory, encryption={"source": source})
    await asyncio.to_thread(migrate, settings)
    database = Database(settings)
    kept = Conversations(database)

    async def turn(number: int) -> None:
        await kept.history(SYSTEM, f"s{number // 3}")
        await kept.append(SYSTEM, f"s{number // 3}", [User(content=_SAID), Assistant(content=_SAID)])

    try:
        return await cpu_us(turn)
    finally:
        await database.close()


async def value_us(directory: Path) -> float:
    """One message, sealed and opened."""
    settings = Settings.load(data_dir=directory)
    await asyncio.to_thread(migrate, settings)
    keyring = Database(settings).keyring
    place, message = Place("default", "conversation_messages", "payload", "msg_1"), {"role": "user", "content": _SAID}

    async def once(_: int) -> None:
        sealer = await keyring.sealer(place.tenant)
        await keyring.open_json(place, sealer.seal_json(place.table, place.column, place.row, message))

    return await cpu_us(once)


def say(line: str) -> None:
    """Print a line of the result."""
    sys.stdout.write(line + "\n")


async def main() -> None:
    """Print the figures, in microseconds of CPU."""
    with tempfile.TemporaryDirectory() as place:
        say(f"a message of {len(_SAID)} characters, sealed and opened   {await value_us(Path(place, 'a')):8.1f} µs")
        sealed = await session_us(Path(place, "b"), None)
        plain = await session_us(Path(place, "c"), "off")
        say(f"a turn in a session, encrypted                     {sealed:8.1f} µs")
        say(f"the same, not encrypted                            {plain:8.1f} µs")


if __name__ == "__main__":
    asyncio.run(main())
