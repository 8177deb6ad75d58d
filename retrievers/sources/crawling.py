"""One crawl of a source: what is there is compared with the documents that came from it, and what is new is brought in."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import structlog
from sqlmodel import select

from core.contained import contained
from core.database import Database
from core.encryption.envelope import Place as SealedPlace
from core.encryption.plain_forms import is_secrets
from core.errors import InvalidRequest, NotFound, PlatformError
from core.files import Files
from core.rights import REVOKED
from core.settings import Settings
from core.tables import Document, DocumentState, Source
from retrievers import SOURCES
from retrievers.documents import CANCELLED
from retrievers.intake import LONGEST_ATTRIBUTE, NewDocument, check_name
from retrievers.sources.base import Content, Crawler, Entry, Listing, Place
from retrievers.sources.crawls import CrawlLease
from retrievers.sources.handover import AT_ONCE, Handover

log = structlog.get_logger(__name__)

_LONGEST_MARK = 300
#: Of a document that failed so, nothing says that its file is unreadable.
_AGAIN = frozenset({CANCELLED, REVOKED})


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a document that came from the source."""

    mark: str
    state: str
    error: str | None
    stored: bool
    attributes: dict[str, Any]
    #: What has brought it in last.
    job: str | None

    def is_still(self, entry: Entry, attributes: dict[str, Any]) -> bool:
        return bool(entry.mark) and entry.mark == self.mark and not self.wants_content(attributes)

    def wants_content(self, attributes: dict[str, Any]) -> bool:
        """Whether it is to be read again in any case: the source says something else of it now, or it failed."""
        if attributes != self.attributes:
            return True
        return self.state == DocumentState.FAILED and (not self.stored or self.error in _AGAIN)


@dataclass(slots=True)
class _Read:
    """What has become of an entry: content, nothing new (neither), or a failure."""

    entry: Entry
    content: Content | None = None
    failure: tuple[str, str] | None = None
    gone: NotFound | None = None


@dataclass(slots=True)
class Outcome:
    """How many files were `found`, and of them `new`, `changed`, the `same`, or `failed`; files that are `gone`, and how
    many of their documents were `deleted`. `errors` are of what no document stands for. `unread` files are known to be the same
    without having been handed over. `complete`: all of the place could be looked at."""

    counts: Counter[str] = field(default_factory=Counter)
    complete: bool = True
    errors: list[dict[str, Any]] = field(default_factory=list)
    unread: int = 0

    def told(self) -> dict[str, Any]:
        names = ("found", "new", "changed", "same", "failed", "left_out", "gone", "deleted")
        return {name: self.counts[name] for name in names} | {"complete": self.complete}

    def note(self, name: str, code: str, message: str) -> None:
        self.counts["failed"] += 1
        self._tell(name, code, message)

    def keep(self, *, handed_over: bool) -> None:
        """A file is as it was: as it was before this crawl, or when an earlier try of it has `handed_over` the file."""
        self.counts["same"] += 1
        self.unread += not handed_over

    def miss(self, name: str, code: str, message: str) -> None:
        """There is nothing at a place that was named, and never was."""
        self.counts["gone"] += 1
        self._tell(name, code, message)

    def _tell(self, name: str, code: str, message: str) -> None:
        self.errors.append({"document": name, "document_id": None, "code": code, "message": message})


class Crawling:
    """Belongs to the event loop of its database."""

    def __init__(self, settings: Settings, database: Database, handover: Handover, files: Files) -> None:
        self._settings = settings
        self._database = database
        self._handover = handover
        self._files = files

    async def crawl(self, lease: CrawlLease, pipeline: str) -> Outcome:
        """Bring in what is new or changed at the source, as parts of the lease's job, and delete what is gone where the source
        says so. May be repeated, also after it was cut short: what was handed over before is the same then.

        Raises:
            CrawlStopped: the lease was lost.
            PlatformError: the place cannot be looked at; nothing has changed.
        """
        source, outcome = lease.source, Outcome()
        crawler = await self._opened(source)
        try:
            async with self._files.scratch.adirectory("crawl") as scratch:
                listing = await crawler.look()
                outcome.complete = listing.complete
                outcome.counts["left_out"] += listing.left_out
                for name, code, message in listing.problems:
                    outcome.note(f"{source.name}/{name}".rstrip("/"), code, message)
                known = await self._known(source)
                entries = self._wanted(source, listing, outcome)
                there = {name_in(source, entry) for entry in entries}
                outcome.counts["found"] += len(entries)
                todo = []
                for entry in entries:
                    before = known.get(name_in(source, entry))
                    if before is not None and before.is_still(entry, _attributes(source, entry)):
                        outcome.keep(handed_over=before.job == lease.job.id)
                    else:
                        todo.append(entry)
                for some in _in_parts(todo, self._settings.limits.upload_bytes):
                    read = await self._read(crawler, source, some, known, scratch)
                    there.difference_update(name_in(source, one.entry) for one in read if one.gone)
                    await self._hand_over(lease, read, known, pipeline, outcome)
                    await asyncio.to_thread(_emptied, scratch)
                if listing.complete:  # of a place that could not be looked at whole, nothing is known to be gone
                    gone = sorted(name for name in known if not is_there(name, there))
                    outcome.counts["gone"] += len(gone)
                    # a place with nothing left at all is rather one that is not mounted
                    if source.prune and there:
                        outcome.counts["deleted"] = await self._handover.delete(lease, gone)
        finally:
            await crawler.close()
        log.info("source.crawled", source_id=source.id, **outcome.told())
        return outcome

    async def _opened(self, source: Source) -> Crawler:
        secrets: dict[str, str] = {}
        if source.secrets is not None:
            place = secrets_place(source)
            secrets = await self._database.keyring.open_json(place, source.secrets, fits=is_secrets)
        kind: Any = SOURCES.load(source.kind)
        crawler: Crawler = await asyncio.to_thread(kind.open, Place(source.tenant, source.location, secrets), self._settings)
        return crawler

    async def _known(self, source: Source) -> dict[str, _Known]:
        said: Any = (Document.error_code, Document.file_key, Document.attributes, Document.job_id)
        columns: Any = (Document.name, Document.source_mark, Document.state, *said)
        query: Any = select(*columns)
        mine = (Document.source_id == source.id, Document.state != DocumentState.DELETING)
        async with self._database.session(source.tenant) as session:
            rows = (await session.exec(query.where(Document.collection_id == source.collection_id, *mine))).all()
        return {name: _Known(mark, state, error, bool(key), said, job) for name, mark, state, error, key, said, job in rows}

    def _wanted(self, source: Source, listing: Listing, outcome: Outcome) -> list[Entry]:
        """What of the listing becomes documents. A name that no document can have, or that another has already, is told."""
        wanted, seen = [], set[str]()
        for entry in listing.entries:
            if not fits(source, entry.name):
                outcome.counts["left_out"] += 1
                continue
            name = name_in(source, entry)
            try:
                check_name(name)
            except InvalidRequest as error:
                outcome.note(name[:200], error.code, error.message)
                continue
            if name in seen:
                outcome.note(name, "duplicate_name", "Another file of the source has the same name; this one is left out.")
                continue
            seen.add(name)
            wanted.append(entry)
        return wanted

    async def _read(
        self, crawler: Crawler, source: Source, entries: Sequence[Entry], known: dict[str, _Known], scratch: Path
    ) -> list[_Read]:
        gate = asyncio.Semaphore(crawler.at_once)

        async def read(entry: Entry) -> _Read:
            before = known.get(name_in(source, entry))
            mark = before.mark if before is not None and not before.wants_content(_attributes(source, entry)) else ""
            async with gate:
                try:
                    with contained():
                        return _Read(entry, await crawler.read(entry, mark, scratch))
                except NotFound as error:
                    return _Read(entry, gone=error)
                except PlatformError as error:
                    return _Read(entry, failure=(error.code, error.message))
                except Exception as error:  # noqa: BLE001 - whatever a file makes a library raise: the others go on
                    log.warning("source.cannot_be_read", source_id=source.id, error=type(error).__name__)
                    return _Read(entry, failure=("cannot_be_read", f"It cannot be read: {type(error).__name__}."))

        return list(await asyncio.gather(*map(read, entries)))

    async def _hand_over(
        self, lease: CrawlLease, read: Sequence[_Read], known: dict[str, _Known], pipeline: str, outcome: Outcome
    ) -> None:
        source, items = lease.source, list[NewDocument]()
        for one in read:
            name = name_in(source, one.entry)
            if one.failure is not None and one.failure[0] == "robots_disallowed":
                outcome.counts["left_out"] += 1
            elif one.failure is not None and name in known:
                outcome.note(name, *one.failure)  # what was found before stays
            elif one.failure is not None:
                outcome.counts["failed"] += 1
                items.append(
                    NewDocument(name, attributes=_attributes(source, one.entry), failure=one.failure, source_id=source.id)
                )
            elif one.gone is not None:
                outcome.counts["found"] -= 1
                if name not in known:  # no document tells of it
                    outcome.miss(name, one.gone.code, one.gone.message)
            elif one.content is None:
                before = known.get(name)
                outcome.keep(handed_over=before is not None and before.job == lease.job.id)
            else:
                outcome.counts["changed" if name in known else "new"] += 1
                mark = one.content.mark if len(one.content.mark) <= _LONGEST_MARK else ""
                attributes = _attributes(source, one.entry)
                items.append(NewDocument(name, one.content.data, attributes=attributes, source_id=source.id, source_mark=mark))
        if items:
            same, kept = await self._handover.take_in(lease, items, pipeline)
            for item in kept:
                outcome.note(item.name, *(item.failure or ("", "")))
            outcome.counts["failed"] -= len(kept)  # they were counted above
            outcome.counts["same"] += same
            touched = min(same, outcome.counts["changed"])  # others had been given by somebody under the same name
            outcome.counts["changed"] -= touched
            outcome.counts["new"] -= same - touched


def name_in(source: Source, entry: Entry) -> str:
    """What the document of an entry is called."""
    return f"{source.name}/{entry.name}"


def is_there(name: str, there: set[str]) -> bool:
    """Whether a document's file is among those, or the archive that it is a member of."""
    parts = name.split("/")
    return any("/".join(parts[:count]) in there for count in range(1, len(parts) + 1))


def fits(source: Source, name: str) -> bool:
    """Whether a file is to be taken. A `*` stands for any characters, `/` among them."""
    taken = not source.include or any(fnmatchcase(name, pattern) for pattern in source.include)
    return taken and not any(fnmatchcase(name, pattern) for pattern in source.exclude)


def secrets_place(source: Source) -> SealedPlace:
    """Where a source's secrets are, for their seal."""
    return SealedPlace(source.tenant, Source.__tablename__, "secrets", source.id)


def _attributes(source: Source, entry: Entry) -> dict[str, Any]:
    url = {"url": entry.url} if entry.url and len(entry.url) <= LONGEST_ATTRIBUTE else {}
    return {**source.attributes, "source": source.name, **url}


def _in_parts(entries: Sequence[Entry], most_bytes: int) -> Iterator[list[Entry]]:
    """What is read and then handed over at once: `AT_ONCE` files at most, and so many bytes unless one alone has more. A file
    whose size is not known counts as a tenth of them."""
    part, size = list[Entry](), 0
    for entry in entries:
        weight = entry.size if entry.size is not None else most_bytes // 10
        if part and (len(part) == AT_ONCE or size + weight > most_bytes):
            yield part
            part, size = [], 0
        part.append(entry)
        size += weight
    if part:
        yield part


def _emptied(scratch: Path) -> None:
    for path in scratch.iterdir():
        path.unlink(missing_ok=True)
