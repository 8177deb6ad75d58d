"""Which documents the kept answers stand on: when one is deleted, what was said from it goes as well.

The functions work inside the caller's transaction.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.encryption.keyring import Sealer
from core.tables import AnswerSource, ConversationMessage, Document, DocumentState

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
    # whoever deletes one of them at this moment waits, and finds what is noted here
    there = select(Document.id).where(col(Document.id).in_(document_ids), Document.state != DocumentState.DELETING.value)
    found = set((await session.exec(there.order_by(Document.id).with_for_update(read=True))).all())
    if found != set(document_ids):
        return False
    session.add_all(
        AnswerSource(message_id=message.id, document_id=document_id, conversation_id=message.conversation_id)
        for document_id in sorted(found)
    )
    return True


async def withhold(session: AsyncSession, sealer: Sealer, document_ids: "Sequence[str] | Select[Any]") -> None:
    """Write over the answers that stand on any of these documents of the sealer's tenant."""
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
