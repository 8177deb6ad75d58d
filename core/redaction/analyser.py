"""The analyser: personal data in a text, loaded at its first use and used from one thread of its own."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING

from core.errors import RateLimited
from core.redaction import credentials
from core.redaction.entities import Entity, kind_of, trimmed, without_overlaps
from core.redaction.reading import read

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

#: A text is analysed in pieces of at most this many characters, cut at line ends or blanks: time grows with the length and
#: no faster, and memory does not.
PIECE = 4000
#: Before a cut this many characters are read once more, so that what stands across it is found whole.
_OVERLAP = 200
#: Requests that wait for the thread; one more is refused.
_MAX_WAITING = 64


class Analyser:
    """Finds personal data. Costs nothing until it is first asked."""

    def __init__(self) -> None:
        self._engine: AnalyzerEngine | None = None
        self._loading = Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._waiting = 0

    def load(self) -> None:
        """Load the model now. Takes seconds; may be repeated."""
        with self._loading:
            if self._engine is None:
                from core.redaction.engine import build

                self._engine = build()

    def detect(self, text: str) -> list[Entity]:
        """The entities of a text, in its order, none overlapping another. Blocks: some 12 ms for 500 characters."""
        readings = _readings(text)
        found: list[list[Entity]] = []
        for reading in readings:
            found.append([])
            for start, end in _pieces(reading):
                found[-1] += self._detect_piece(reading[start:end], start)
        return _settled(found, readings, text)

    async def adetect(self, texts: Sequence[str], *, patient: bool = False) -> list[list[Entity]]:
        """The same for several texts, off the event loop; cancelling ends it behind the piece being read.

        `patient` is for what may not go on without: it waits however many do.

        Raises:
            RateLimited: code `queue_full`, too many requests wait already.
        """
        if self._waiting >= _MAX_WAITING and not patient:
            raise RateLimited("Too many texts wait to be searched for personal data.", code="queue_full", retry_after_s=1)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="pii")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            results = []
            for text in texts:
                readings = await loop.run_in_executor(self._thread, _readings, text)
                found: list[list[Entity]] = []
                for reading in readings:
                    found.append([])
                    for start, end in _pieces(reading):  # one by one: a long text and a short one take turns
                        found[-1] += await loop.run_in_executor(self._thread, self._detect_piece, reading[start:end], start)
                results.append(await loop.run_in_executor(self._thread, _settled, found, readings, text))
            return results
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the thread. What is being read is read to its end."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None

    def _detect_piece(self, text: str, offset: int) -> list[Entity]:
        if not text or text.isspace():
            return []
        self.load()
        assert self._engine is not None  # noqa: S101 - just loaded
        found = []
        for result in self._engine.analyze(text, "en"):
            kind = kind_of(result.entity_type)
            if kind is not None:
                found.append(Entity(kind, result.start + offset, result.end + offset, round(float(result.score), 2)))
        return found


def _readings(text: str) -> list[str]:
    """What is searched of a text: as it is written, and as it reads where that is otherwise."""
    reading = read(text)
    return [text] if reading is None else [text, reading.text]


def _settled(found: Sequence[Sequence[Entity]], readings: Sequence[str], text: str) -> list[Entity]:
    """What is kept of all that was found in the pieces of a text's readings."""
    kept: list[Entity] = []
    for each, reading in zip(found, readings, strict=True):
        # a private key may be longer than what two pieces share
        whole = [*each, *credentials.find(reading)] if len(reading) > PIECE else each
        kept += whole if reading is text else _placed(whole, text)
    return [trimmed(one, text) for one in without_overlaps(kept, text)]


def _placed(found: Iterable[Entity], text: str) -> list[Entity]:
    reading = read(text)
    return [] if reading is None else [reading.placed(one) for one in found if one.end > one.start]


def _pieces(text: str) -> list[tuple[int, int]]:
    """Where the pieces of a text begin and end; each reaches a little into the one before it."""
    pieces, start = [], 0
    while start < len(text):
        end = min(len(text), start + PIECE)
        if end < len(text):
            cut = max(text.rfind("\n", start + PIECE // 2, end), text.rfind(" ", start + PIECE // 2, end))
            end = cut + 1 if cut > 0 else end
        pieces.append((max(0, start - _OVERLAP), end))
        start = end
    return pieces
