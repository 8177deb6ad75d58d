"""Which attributes a collection's documents have: tells a filter that nothing can pass from one that nothing happens to."""

import asyncio
from collections.abc import Iterable

from sqlmodel import col, select

from core.database import Database
from core.tables import Document, DocumentState
from retrievers.base import Shelf
from retrievers.filters import RESERVED, Filter, names, required_names
from retrievers.store_words import WordIndex

#: Documents that are looked at for the names to suggest, the newest first.
_LOOKED_AT = 1000
_MOST_SUGGESTED = 20
#: What is found in a file itself: what it is, its title, author, language and dates, an e-mail's head, a table's columns, how
#: many records it has. It is with the chunks alone, not in the document's row.
LOADED = (
    "author",
    "cc",
    "columns",
    "created",
    "date",
    "from",
    "language",
    "media_type",
    "modified",
    "records",
    "sheet",
    "subject",
    "title",
    "to",
)


async def unknown_attributes(database: Database, lexical: WordIndex, shelf: Shelf, filter: Filter | None) -> list[str]:
    """A sentence for each name of the filter that no document of the collection has, with the names that they do have.

    Metadata is free, so that a name which is not there is no error: tomorrow's document may have it. It finds nothing all
    the same, and a misspelt one should not do so silently.
    """
    asked = [name for name in names(filter) if name not in RESERVED]
    missing = [name for name in asked if not await asyncio.to_thread(lexical.has_attribute, shelf, name)]
    if not missing:
        return []
    async with database.session(shelf.tenant) as session:
        rows = await session.exec(
            select(Document.attributes)
            .where(Document.collection_id == shelf.collection_id, Document.state != DocumentState.DELETING.value)
            .order_by(col(Document.created_at).desc())
            .limit(_LOOKED_AT)
        )
        held = sorted({name for attributes in rows.all() for name in attributes})
    loaded = [name for name in LOADED if name not in held and await asyncio.to_thread(lexical.has_attribute, shelf, name)]
    listed, required = _listed([*held[:_MOST_SUGGESTED], *loaded, *sorted(RESERVED)]), required_names(filter)
    return [
        f"No document of the collection has an attribute {_quoted(name)}"
        f"{', so this filter finds nothing' if name in required else ''}. There are {listed}."
        for name in missing
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(_quoted(name) for name in names)


def _quoted(name: str) -> str:
    return f"“{name[:80]}”"
