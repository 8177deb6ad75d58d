"""How a collection's legs are fused is checked once it has grown, and searches go by it."""

from typing import Any

import pytest
from sqlmodel import col, select, update

from core.tables import IndexGeneration
from jobs.fusion_checks import check_fusion
from jobs.ingestion import ingest_document
from jobs.sweeper import Sweeper
from retrievers import fusion_checks
from retrievers.base import Shelf
from retrievers.fusion import DENSE_WEIGHT
from retrievers.fusion_checks import FusionChecks
from retrievers.upkeep import QUEUE
from tests.desks import Desk, note

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
TOPICS = ("pumps in the hall", "seals on the beach", "puffins near the cliff")


def told(number: int, topic: str) -> str:
    return f"This is report {number}. It tells about {topic}. Whoever has seen the {topic} writes what there was to see in it."


async def brought(desk: Desk, *items: Any) -> None:
    await desk.add(*items)
    for _ in items:
        await ingest_document(desk.context, "any", 1)


async def row(desk: Desk) -> IndexGeneration:
    async with desk.database.session(all_tenants=True) as session:
        return (await session.exec(select(IndexGeneration))).one()


@ON_SQLITE
async def test_a_collection_is_checked_when_it_has_grown_and_searched_by_what_was_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion_checks, "LEAST_CHUNKS", 3)
    checks = FusionChecks(desk.database, desk.resources, desk.library.following)
    await brought(desk, note("0.md", told(0, TOPICS[0])))
    assert await checks.due(5) == []  # too small
    await brought(desk, *[note(f"{number}.md", told(number, topic)) for number, topic in enumerate(TOPICS[1:], 1)])
    await Sweeper(desk.context).sweep()
    assert await desk.queue.waiting(QUEUE) == 1
    (generation,) = await checks.due(5)
    await check_fusion(desk.context, generation)
    fusion = (await row(desk)).fusion
    assert fusion is not None
    assert (fusion["dense_weight"], fusion["probes"], fusion["chunks"]) == (DENSE_WEIGHT, 3, 3)
    assert 0 < fusion["hybrid"] <= 1
    assert await checks.due(5) == []
    await brought(desk, note("3.md", told(3, TOPICS[0])))
    assert await checks.due(5) == [generation]  # a third more

    async with desk.database.transaction(all_tenants=True) as session:
        changed = update(IndexGeneration).where(col(IndexGeneration.id) == generation)
        await session.exec(changed.values(fusion={**fusion, "dense_weight": 0.0}))
    desk.resources.known.clear()
    shelf = Shelf.of(await desk.collection())
    passages = await desk.library.searcher.search(shelf, "birds puffins report seals", limit=4)
    assert [passage.fused for passage in passages] == [
        pytest.approx((passage.by_words or 0) / max(one.by_words or 0 for one in passages)) for passage in passages
    ]


@ON_SQLITE
async def test_what_a_file_says_of_itself_can_be_filtered_by_and_the_caller_s_word_counts_more(desk: Desk) -> None:
    head = '<html lang="de-AT"><head><title>Pumpen</title><meta name="author" content="Ada"></head>'
    page = f"{head}<body><p>Die Pumpe steht in der Halle.</p></body></html>"
    await brought(desk, note("a.html", page), note("b.html", page, title="Ours"), note("c.md", "The pump is in the hall."))

    async def named(**wanted: Any) -> list[str]:
        shelf = Shelf.of(await desk.collection())
        found = await desk.library.searcher.search(shelf, "Pumpe Halle", limit=9, filter=wanted)
        return sorted({passage.chunk.document for passage in found})

    assert await named(language="de-at", author={"contains": "Ada"}) == ["a.html", "b.html"]
    assert (await named(title="Pumpen"), await named(title="Ours")) == (["a.html"], ["b.html"])
    assert await named(media_type={"ne": "text/html"}) == ["c.md"]
