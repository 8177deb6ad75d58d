"""What comes in: checks the names and contents that a caller gives, and turns them into document rows and a job."""

import asyncio
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.database import utc_now
from core.errors import InvalidRequest, NotFound, UnreadableFile
from core.files import Files
from core.principals import Principal
from core.tables import Collection, Document, DocumentState, Job
from core.tables.columns import new_id
from retrievers.filters import RESERVED
from retrievers.leases import PENDING, count_parts

#: The column holds so many characters; PostgreSQL indexes the name, and an index row holds 2,704 bytes.
LONGEST_NAME_BYTES = 1000
MOST_ATTRIBUTES = 32
LONGEST_ATTRIBUTE = 1000


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to bring in: its content (`data`, bytes or a local file that stays the caller's), or the `url` to fetch it
    from, exactly one of the two. `attributes` are what a search can be filtered by. A member of an archive that cannot be read
    has neither; `failure` is its code and message. What a crawl brings names its source and the file's mark there."""

    name: str
    data: bytes | Path | None = None
    url: str | None = None
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    failure: tuple[str, str] | None = None
    source_id: str | None = None
    source_mark: str = ""


@dataclass(slots=True)
class Arrival:
    """A checked document on its way in. `content_hash` is empty for a URL, whose content is not known yet; `file_key` where
    the original did not have to be stored, since the row as it was read (`known`) has the same content."""

    item: NewDocument
    known: Document | None
    content_hash: str = ""
    size: int = 0
    document_id: str = field(default_factory=new_id("doc"))
    file_key: str = ""


def check(items: Sequence[NewDocument]) -> None:
    """Raises InvalidRequest: nothing given, a name that is none or given twice, attributes that are none; UnreadableFile
    (`empty_file`): no content in any of them."""
    if not items:
        raise InvalidRequest("Give at least one document.", code="no_documents")
    seen: set[str] = set()
    for item in items:
        check_name(item.name)
        if item.name in seen:
            raise InvalidRequest("A name is given twice in one request; each document needs its own.", code="duplicate_name")
        seen.add(item.name)
        _check_source(item)
        check_attributes(item.attributes)
    if all(item.url is None and _size(item) == 0 for item in items):
        raise UnreadableFile("The file is empty." if len(items) == 1 else "All of the files are empty.", code="empty_file")


def check_name(name: str) -> None:
    """Raises InvalidRequest (`invalid_name`)."""
    if not name.strip() or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME_BYTES:
        raise InvalidRequest(f"A document's name has 1 to {LONGEST_NAME_BYTES:,} bytes.", code="invalid_name", param="name")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InvalidRequest("A document's name has no control characters.", code="invalid_name", param="name")


def _check_source(item: NewDocument) -> None:
    if (item.data is None) == (item.url is None):
        raise InvalidRequest("Give either the content or a URL of each document.", code="invalid_document")
    if item.url is not None:
        try:
            parts = urlsplit(item.url)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname or len(item.url) > 2000:
            raise InvalidRequest("A URL begins with http:// or https://.", code="invalid_url", param="url")


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Raises InvalidRequest (`invalid_metadata`)."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise InvalidRequest(f"A document has at most {MOST_ATTRIBUTES} attributes.", code="invalid_metadata", param="metadata")
    for name, value in attributes.items():
        texts = [name, value] if isinstance(value, str) else [name]
        fits = all(len(text) <= LONGEST_ATTRIBUTE and "\0" not in text for text in texts) and name
        whole = not isinstance(value, int) or abs(value) < 2**63
        finite = not isinstance(value, float) or abs(value) < float("inf")
        known = isinstance(value, str | int | float | bool) and name not in RESERVED
        if not (fits and whole and finite and known):
            raise InvalidRequest(
                "Metadata maps names (not document, document_id or page) to short texts, numbers or booleans.",
                code="invalid_metadata",
                param="metadata",
            )


def _size(item: NewDocument) -> int:
    if isinstance(item.data, Path):
        return item.data.stat().st_size
    return len(item.data or b"")


async def store_originals(
    files: Files, collection: Collection, items: Sequence[NewDocument], known: Mapping[str, Document]
) -> list[Arrival]:
    """Hash each content, and store it where it is not the one that is known under the name already. Sorted by name, the
    order in which rows are locked."""
    arrivals = []
    for item in sorted(items, key=lambda item: item.name):
        arrival = Arrival(item, known.get(item.name))
        arrivals.append(arrival)
        if item.data is None:
            continue
        arrival.content_hash, arrival.size = await asyncio.to_thread(_digest, item.data)
        if arrival.known is not None:
            arrival.document_id = arrival.known.id
            if arrival.known.content_hash == arrival.content_hash and arrival.known.file_key:
                continue
        key = f"{collection.id}/{arrival.document_id}/{new_id('original')()}"
        if isinstance(item.data, Path):
            await files.put_file(key, item.data, tenant=collection.tenant)
        else:
            await files.put(key, item.data, tenant=collection.tenant)
        arrival.file_key = key
    return arrivals


def _digest(data: bytes | Path) -> tuple[str, int]:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest(), len(data)
    with data.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest(), data.stat().st_size


@dataclass(slots=True)
class Accepted:
    """What has become of arrivals. `to_send` are (document id, revision) for the workers; `stale_files` are originals that
    nothing refers to any more; `skipped` had nothing to do; `replaced_jobs` have lost a part to this one; `failed` are rows
    that are still to be failed, with the code and the message."""

    documents: list[Document] = field(default_factory=list)
    to_send: list[tuple[str, int]] = field(default_factory=list)
    stale_files: list[str] = field(default_factory=list)
    skipped: int = 0
    replaced_jobs: set[str | None] = field(default_factory=set)
    failed: list[tuple[Document, str, str]] = field(default_factory=list)


async def accept(
    session: AsyncSession,
    principal: Principal,
    collection: Collection,
    arrivals: Sequence[Arrival],
    *,
    pipeline: str,
    arguments: Mapping[str, Any],
) -> tuple[Job, Accepted]:
    """Rows and job, in the caller's transaction.

    Unchanged documents are counted as done and skipped. Content that is on its way already goes on, counted for this job
    from now on. Everything else becomes a new revision.

    Raises:
        NotFound: the collection was deleted meanwhile.
        IntegrityError: another request has made a document of the same name at the same moment; the call can be repeated.
    """
    await hold_collection(session, collection.id)
    job = await jobs.open_job(session, principal, jobs.INGESTION, total=len(arrivals), arguments=arguments)
    accepted = await admit(session, collection, job.id, arrivals, pipeline=pipeline)
    waiting = sum(document.job_id == job.id and document.state in PENDING for document in accepted.documents)
    if waiting < len(arrivals):
        await jobs.count(session, job.id, pending=waiting, skipped=accepted.skipped)
    await count_parts(session, dict.fromkeys(accepted.replaced_jobs, 0))
    return job, accepted


async def hold_collection(session: AsyncSession, collection_id: str) -> Collection:
    """The collection, which is not deleted until the transaction ends.

    Raises:
        NotFound: it was deleted already.
    """
    row = await session.get(Collection, collection_id, with_for_update={"read": True}, populate_existing=True)
    if row is None or row.deleted_at is not None:
        raise NotFound("There is no such collection.", code="collection_not_found")
    return row


async def admit(
    session: AsyncSession, collection: Collection, job_id: str | None, arrivals: Sequence[Arrival], *, pipeline: str
) -> Accepted:
    """The rows, as parts of the job, which are still to be counted there.

    Raises:
        IntegrityError: as `accept`.
    """
    rows = await session.exec(
        select(Document)
        .where(Document.collection_id == collection.id, col(Document.name).in_([arrival.item.name for arrival in arrivals]))
        .order_by(Document.name)
        .with_for_update()
    )
    present = {document.name: document for document in rows.all()}
    accepted = Accepted()
    for arrival in arrivals:
        document = present.get(arrival.item.name)
        if document is None:
            document = _new_row(collection, arrival)
            if not document.file_key and arrival.item.url is None and arrival.item.failure is None:
                # deleted since it was read as unchanged: as if this request had come before the deletion
                accepted.documents.append(arrival.known or document)
                accepted.skipped += 1
                continue
            session.add(document)
        elif arrival.item.failure is not None and arrival.known is None:
            accepted.documents.append(document)  # given since by somebody: nothing that is here is lost to what is not
            accepted.skipped += 1
            continue
        elif not _take_over(document, arrival, pipeline, accepted):
            accepted.skipped += 1
            continue
        document.job_id = job_id
        accepted.documents.append(document)
        if arrival.item.failure is not None:
            accepted.failed.append((document, *arrival.item.failure))
        elif document.state == DocumentState.QUEUED:
            accepted.to_send.append((document.id, document.revision))
    await session.flush()
    return accepted


def _new_row(collection: Collection, arrival: Arrival) -> Document:
    return Document(
        id=arrival.document_id,
        tenant=collection.tenant,
        collection_id=collection.id,
        name=arrival.item.name,
        size=arrival.size,
        content_hash=arrival.content_hash,
        source_url=arrival.item.url,
        source_id=arrival.item.source_id,
        source_mark=arrival.item.source_mark,
        file_key=arrival.file_key,
        attributes=dict(arrival.item.attributes),
        content_at=utc_now(),
    )


def _take_over(document: Document, arrival: Arrival, pipeline: str, accepted: Accepted) -> bool:
    """Bring what has arrived into the row. False where there is nothing to do: the row is listed as it is."""
    item = arrival.item
    if item.failure is not None:
        _lose(document, accepted)
        document.source_id, document.source_mark = item.source_id, item.source_mark
        return True
    same = item.url is None and document.content_hash == arrival.content_hash and bool(document.file_key)
    same = same and document.attributes == dict(item.attributes) and document.source_url == item.url
    overtaken = item.url is None and not same and not arrival.file_key and document.content_hash != arrival.content_hash
    if not overtaken:
        document.source_id, document.source_mark = item.source_id, item.source_mark
    if overtaken or (same and document.state == DocumentState.READY and document.pipeline == pipeline):
        # overtaken: unchanged when it was read, replaced since by a request that is thereby the later one
        if arrival.file_key:
            accepted.stale_files.append(arrival.file_key)
        accepted.documents.append(document)
        return False
    if document.state in PENDING:
        accepted.replaced_jobs.add(document.job_id)
        if same:
            if arrival.file_key:
                accepted.stale_files.append(arrival.file_key)
            return True
    if arrival.file_key:
        if document.file_key:
            accepted.stale_files.append(document.file_key)
        document.file_key = arrival.file_key
    document.revision += 1
    if item.url is None:
        document.content_at = document.content_at if document.content_hash == arrival.content_hash else utc_now()
        document.content_hash, document.size = arrival.content_hash, arrival.size
    elif document.state != DocumentState.READY or document.attributes != dict(item.attributes):
        document.pipeline = ""  # whatever is fetched is to be read
    document.source_url = item.url
    document.attributes = dict(item.attributes)
    document.state = DocumentState.QUEUED
    document.attempts = 0
    document.error_code = document.error_message = None
    document.updated_at = utc_now()
    return True


def _lose(document: Document, accepted: Accepted) -> None:
    """The newest content of the row is one that cannot be read; what was found before stays."""
    if document.state in PENDING:
        accepted.replaced_jobs.add(document.job_id)
    if document.file_key:
        accepted.stale_files.append(document.file_key)
    document.revision += 1
    document.file_key = document.content_hash = ""
    document.size = document.attempts = 0
    document.source_url = None
    document.state = DocumentState.QUEUED
