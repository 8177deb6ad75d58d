"""Which documents the kept answers stand on: when one is deleted, what was said from it goes as well.

The functions work inside the caller's transaction.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from core.encryption.keyring import Sealer
from core.tables import AnswerSource, ConversationMessage, Document, DocumentState, IdempotencyRecord

#: Stands in a conversation for an answer whose document was deleted.
WITHHELD: Final = "This answer stood on a document that has been deleted."
#: Answers that are written anew at once.
_AT_ONCE = 200


def withheld() -> dict[str, Any]:
    """The message, as it is kept, of an answer that is gone."""
    return {"role": "assistant", "content": WITHHELD}


async def note(session: AsyncSession, message: ConversationMessage, document_ids: Sequence[str]) -> bool:
    """Note what a new answer, which was added to the session before, stands on. False: one of the documents has been deleted
    since it was found, so that the answer must not be kept."""
    if not document_ids:
        return True
    if not await are_there(session, document_ids):
        return False
    session.add_all(
        AnswerSource(message_id=message.id, document_id=document_id, conversation_id=message.conversation_id)
        for document_id in sorted(set(document_ids))
    )
    return True


async def are_there(session: AsyncSession, document_ids: Sequence[str]) -> bool:
    """Whether none of the documents has been deleted. Whoever deletes one waits until the transaction ends, and finds then what
    it has noted."""
    there = select(Document.id).where(col(Document.id).in_(document_ids), Document.state != DocumentState.DELETING.value)
    found = (await session.exec(there.order_by(Document.id).with_for_update(read=True))).all()
    return set(found) == set(document_ids)


async def withhold(session: AsyncSession, sealer: Sealer, document_ids: Sequence[str] | SelectOfScalar[str]) -> None:
    """Write over the answers that stand on any of these documents of the sealer's tenant, and leave of those that are kept for
    repetitions no more than that they were given."""
    await _withhold_repetitions(session, sealer.tenant, document_ids)
    mine = col(AnswerSource.document_id).in_(document_ids)
    while True:
        query = select(AnswerSource.message_id).where(mine).distinct().order_by(AnswerSource.message_id).limit(_AT_ONCE)
        messages = (await session.exec(query)).all()
        for message_id in messages:
            payload = sealer.seal_json(ConversationMessage.__tablename__, "payload", message_id, withheld())
            await session.exec(
                update(ConversationMessage).where(col(ConversationMessage.id) == message_id).values(payload=payload)
            )
        await session.exec(delete(AnswerSource).where(col(AnswerSource.message_id).in_(messages)))
        if len(messages) < _AT_ONCE:
            return


async def _withhold_repetitions(session: AsyncSession, tenant: str, document_ids: Sequence[str] | SelectOfScalar[str]) -> None:
    named = (IdempotencyRecord.tenant == tenant, col(IdempotencyRecord.document_ids).is_not(None))
    kept = (await session.exec(select(IdempotencyRecord.id, IdempotencyRecord.document_ids).where(*named))).all()
    if not kept:
        return
    gone = set((await session.exec(document_ids)).all() if isinstance(document_ids, SelectOfScalar) else document_ids)
    found = [identifier for identifier, ids in kept if not gone.isdisjoint(ids or ())]
    nothing: dict[str, Any] = {"body": None, "headers": {}, "fingerprint": "", "document_ids": None}
    for first in range(0, len(found), _AT_ONCE):
        mine = col(IdempotencyRecord.id).in_(found[first : first + _AT_ONCE])
        await session.exec(update(IdempotencyRecord).where(mine).values(**nothing))
