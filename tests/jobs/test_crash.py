"""Kills: of the worker's whole process in the middle of its work, and of what the broker holds."""

import asyncio
import subprocess
import sys
from pathlib import Path

from redis import Redis

from core.jobs import Jobs
from core.principals import SYSTEM
from core.tables import DocumentState, JobState
from core.valkey import EmbeddedValkey
from retrievers.base import Shelf
from tests.desks import Desk, eventually, note, opened

ROOT = Path(__file__).parents[2]
FILES = 10


class WorkerProcess:
    """The real worker, alone with the data directory, in a process that can be killed."""

    def __init__(self, desk: Desk) -> None:
        url = desk.settings.database_url or ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.worker_process", str(desk.settings.data_dir), url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def working(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while (line := await asyncio.to_thread(stdout.readline)).strip() != "working":
            assert line, "the worker has ended"

    async def kill(self) -> None:
        self._process.kill()
        await asyncio.to_thread(self._process.communicate)


async def test_after_kills_every_document_is_there_exactly_once(desk: Desk) -> None:
    job, documents = await desk.add(*(note(f"{number}.md", f"The number is marker{number}.") for number in range(FILES)))
    desk.resources.close()  # the store belongs to one process at a time

    async def done(count: int) -> bool:
        return (await Jobs(desk.database).get(SYSTEM, job.id)).done >= count

    for share in (0, FILES // 2):
        process = WorkerProcess(desk)
        await process.working()
        await eventually(lambda share=share: done(share + 1))
        await process.kill()
        if share:
            await flush(desk)
    async with opened(desk.settings, desk.database, desk.resources.models) as alive:
        with alive.worker():
            final = await alive.finished(job.id)
        assert (final.state, final.done, final.errors) == (JobState.SUCCEEDED, FILES, [])
        rows = await alive.documents()
        assert {row.id for row in rows.values()} == {document.id for document in documents}
        assert {row.state for row in rows.values()} == {DocumentState.READY}
        assert await alive.stored_chunks() == FILES
        for number in range(FILES):
            for mode in ("lexical", "dense"):
                found = await alive.library.searcher.search(
                    Shelf.of(rows["0.md"]),
                    f"marker{number}",
                    limit=FILES,
                    mode=mode,  # type: ignore[arg-type]
                )
                marked = [passage for passage in found if passage.chunk.text.endswith(f"marker{number}.")]
                assert [passage.chunk.document for passage in marked] == [f"{number}.md"]


async def flush(desk: Desk) -> None:
    """Lose all that the broker holds."""
    valkey = EmbeddedValkey(desk.settings)
    with Redis.from_url(await asyncio.to_thread(valkey.start)) as client:
        client.flushall()
    await asyncio.to_thread(valkey.close)
