"""Files of callers: listed in both orders, from one on."""

import pytest

from core.database import Database
from core.errors import InvalidRequest
from core.files import Files
from core.principals import SYSTEM
from core.settings import Settings
from core.stored_files import BATCH, StoredFiles


@pytest.fixture
def stored(database: Database, settings: Settings) -> StoredFiles:
    return StoredFiles(database, Files(settings))


async def test_files_are_listed_in_both_orders_page_by_page(stored: StoredFiles) -> None:
    ids = [(await stored.add(SYSTEM, b"x", name="a", purpose=BATCH, size=1)).id for _ in range(5)]
    for oldest_first, order in ((True, ids), (False, ids[::-1])):
        seen: list[str] = []
        more = True
        while more:
            rows, more = await stored.page(SYSTEM, limit=2, after=seen[-1] if seen else None, oldest_first=oldest_first)
            seen += [row.id for row in rows]
        assert seen == order
    with pytest.raises(InvalidRequest):
        await stored.page(SYSTEM, limit=2, after="file_nobodys")
