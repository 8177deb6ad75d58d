"""Passages for tests of steps, without a store."""

from typing import Any

from retrievers.base import Chunk, Passage, Shelf
from retrievers.steps.step import Retrieved

SHELF = Shelf("acme", "col_steps")


def passage(name: str, score: float, text: str = "", *, start: int = 0, **attributes: Any) -> Passage:
    text = text or f"The text of {name}."
    chunk = Chunk(
        id=f"chk_{name}",
        document_id=f"doc_{name}",
        document=f"{name}.md",
        revision=1,
        text=text,
        start=start,
        end=start + len(text),
        attributes=attributes,
    )
    return Passage(chunk, score, score)


def retrieved(*passages: Passage, query: str = "what", limit: int = 5) -> Retrieved:
    return Retrieved(SHELF, query, limit, tuple(passages))


def names(passages: Any) -> list[str]:
    return [one.chunk.document.removesuffix(".md") for one in passages]
