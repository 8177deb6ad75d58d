"""What binds the members of an archive to it: their names begin with its name. How documents are put out of sight together."""

from collections import Counter
from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.principals import Principal
from core.tables import Document, DocumentState
from retrievers.changes import note_departure
from retrievers.leases import PENDING, count_parts
from retrievers.packages import ARCHIVES


async def members_of(session: AsyncSession, document: Document) -> list[Document]:
    """The members of an archive by name, locked until the transaction ends; none for any other document."""
    return await members_below(session, document) if document.media_type in ARCHIVES else []


async def members_below(session: AsyncSession, archive: Document) -> list[Document]:
    """As `members_of`, of a document that is known to be an archive."""
    below = f"{archive.name}/"
    rows = await session.exec(
        select(Document)
        .where(
            Document.collection_id == archive.collection_id,
            col(Document.name).startswith(below, autoescape=True),
            Document.state != DocumentState.DELETING,
        )
        .order_by(Document.name)
        .with_for_update()
    )
    return [row for row in rows.all() if row.name.startswith(below)]  # SQLite takes capitals for small letters


async def condemn(session: AsyncSession, rows: Sequence[Document], principal: Principal | None = None) -> None:
    """Put documents, whose rows are locked, out of sight; `Documents.purge` does the rest. The last thing of a transaction.
    `principal` is who does it, None whom the request acts for."""
    left = Counter(row.job_id for row in rows if row.state in PENDING) + Counter()
    jobs = {row.job_id: left[row.job_id] for row in rows}
    for row in rows:
        row.state = DocumentState.DELETING
        row.name = f"\x01{row.id}"  # no caller's name has a control character
        row.indexed_revision = 0
    await count_parts(session, jobs)
    for row in rows:
        await note_departure(session, row)
        details: dict[str, audit.Detail] = {"collection": row.collection_id}
        await audit.record(
            session, audit.Action.DOCUMENT_DELETED, on=("document", row.id), details=details, principal=principal
        )
