"""Widened passages, on the real stores."""

import time
from collections.abc import Sequence
from dataclasses import replace

from retrievers.base import Passage, Shelf
from retrievers.generations import last_known
from retrievers.library import Library
from retrievers.splitting_settings import Splitting
from retrievers.steps.expansion import ExpansionStep
from retrievers.steps.settings import Expansion
from retrievers.steps.step import Retrieved
from tests.retrievers.test_search import collection_of, library, models

__all__ = ["library", "models"]

_NUMBERS = ("one", "two", "three", "four", "five", "six")
#: A page of six paragraphs under three headings, each of them a chunk.
GUIDE = "# Guide\n\n" + "\n\n".join(
    f"{f'## Part {number // 2}' if number % 2 == 0 else ''}\n\n" + f"Paragraph {word} tells of {word} and its ways. " * 22
    for number, word in enumerate(_NUMBERS)
)


def step_of(library: Library, **settings: object) -> ExpansionStep:
    chunk_tokens = library.settings.retrieval.chunk_tokens
    chosen = Expansion.model_validate(settings)
    return ExpansionStep(chosen, library.database, library.resources, chunk_tokens=chunk_tokens)


async def all_of(library: Library, shelf: Shelf) -> list[Passage]:
    found = await library.searcher.search(shelf, "paragraph tells ways", limit=100)
    return sorted(found, key=lambda passage: passage.chunk.start)


async def widened(library: Library, shelf: Shelf, passages: Sequence[Passage], **settings: object) -> list[Passage]:
    found = await step_of(library, **settings).ainvoke(Retrieved(shelf, "q", 10, tuple(passages)))
    assert not found.impaired
    return list(found.passages)


async def stored(library: Library, shelf: Shelf, documents: dict) -> str:
    key = documents["guide.md"].text_key
    return (await library.resources.files.get(key, tenant=shelf.tenant)).decode()


async def test_a_passage_comes_with_the_chunks_before_and_behind_it(library: Library):
    shelf, documents = await collection_of(library, {"guide.md": GUIDE, "other.md": GUIDE})
    mine = [one for one in await all_of(library, shelf) if one.chunk.document == "guide.md"]
    assert len(mine) > 4
    (found,) = await widened(library, shelf, [mine[2]], before=1, after=2)
    assert (found.chunk.start, found.chunk.end) == (mine[1].chunk.start, mine[4].chunk.end)
    text = await stored(library, shelf, documents)
    assert found.chunk.text == text[found.chunk.start : found.chunk.end]
    assert (found.chunk.id, found.score) == (mine[2].chunk.id, mine[2].score)
    (first,) = await widened(library, shelf, [mine[0]], before=3, after=0)
    assert (first.chunk.start, first.chunk.end) == (mine[0].chunk.start, mine[0].chunk.end)


async def test_chunks_of_a_collection_s_own_size_are_looked_for_as_far_as_they_reach(library: Library):
    shelf, _ = await collection_of(library, {"guide.md": GUIDE})
    mine = await all_of(library, shelf)
    near = ExpansionStep(Expansion(before=0, after=2), library.database, library.resources, chunk_tokens=1)
    generation = last_known(library.resources, shelf)
    ends = []
    for tokens in (None, 256):
        library.resources.known[shelf] = (time.monotonic(), replace(generation, splitting=Splitting(tokens=tokens)))
        (found,) = (await near.ainvoke(Retrieved(shelf, "q", 10, (mine[0],)))).passages
        ends.append(found.chunk.end)
    assert ends == [mine[1].chunk.end, mine[2].chunk.end]


async def test_passages_that_come_to_overlap_become_one_at_the_better_place(library: Library):
    shelf, documents = await collection_of(library, {"guide.md": GUIDE})
    mine = await all_of(library, shelf)
    found = await widened(library, shelf, [mine[3], mine[0], mine[1]], before=1, after=1)
    assert len(found) == 1
    assert found[0].chunk.id == mine[3].chunk.id
    assert (found[0].chunk.start, found[0].chunk.end) == (mine[0].chunk.start, mine[4].chunk.end)
    assert found[0].chunk.text == (await stored(library, shelf, documents))[found[0].chunk.start : found[0].chunk.end]


async def test_what_is_behind_fills_the_room_of_the_joined_and_is_widened_as_well(library: Library):
    shelf, _ = await collection_of(library, {"guide.md": GUIDE, "other.md": GUIDE})
    found = await all_of(library, shelf)
    mine, others = ([one for one in found if one.chunk.document == name] for name in ("guide.md", "other.md"))
    wanted = Retrieved(shelf, "q", 3, (mine[0], mine[1], mine[2], mine[3], others[0], others[4]))
    whole = (await step_of(library, before=1, after=1).ainvoke(wanted)).passages
    spans = [(one.chunk.document, one.chunk.start, one.chunk.end) for one in whole]
    assert spans == [
        ("guide.md", mine[0].chunk.start, mine[4].chunk.end),
        ("other.md", others[0].chunk.start, others[1].chunk.end),
        ("other.md", others[3].chunk.start, others[5].chunk.end),
    ]


async def test_a_section_is_what_stands_under_the_same_heading(library: Library):
    shelf, _ = await collection_of(library, {"guide.md": GUIDE})
    mine = await all_of(library, shelf)
    under = [one for one in mine if one.chunk.context == mine[2].chunk.context]
    assert 1 < len(under) < len(mine)
    (found,) = await widened(library, shelf, [mine[2]], unit="section")
    assert (found.chunk.start, found.chunk.end) == (under[0].chunk.start, under[-1].chunk.end)
    (short,) = await widened(library, shelf, [mine[2]], unit="section", most_chunks=2)
    assert len(short.chunk.parts) == 2


async def test_a_page_is_that_of_the_part(library: Library):
    shelf, _ = await collection_of(library, {"guide.md": GUIDE})
    mine = await all_of(library, shelf)
    parts = tuple(replace(one.chunk, page=number) for number, one in enumerate(mine[:3], 1))
    whole = replace(mine[0].chunk, end=mine[2].chunk.end, parts=parts)
    assert [whole.page_at(part.start) for part in parts] == [1, 2, 3]
    assert whole.page_at(parts[1].end - 1) == 2


async def test_what_was_replaced_since_stays_as_it_was_found(library: Library):
    shelf, _ = await collection_of(library, {"guide.md": GUIDE})
    mine = await all_of(library, shelf)
    other = replace(mine[2], chunk=replace(mine[2].chunk, revision=7))
    assert await widened(library, shelf, [other]) == [other]


async def test_a_store_that_cannot_tell_is_said(library: Library):
    shelf, _ = await collection_of(library, {"guide.md": "# Guide\n\nShort."})
    found = await library.searcher.search(shelf, "short", limit=1)
    blind = replace(library.resources, store=object())  # type: ignore[arg-type]  # a store of a plugin
    step = ExpansionStep(Expansion(), library.database, blind, chunk_tokens=250)
    given = await step.ainvoke(Retrieved(shelf, "q", 1, tuple(found)))
    assert (given.passages, given.steps[0].skipped) == (tuple(found), "step_not_possible")
