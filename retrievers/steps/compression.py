"""Contextual compression: of each passage the sentences that matter, as many as the prompt has room for.

What is left are stretches of the stored text, each a chunk of its own, so that everything that holds for a chunk (`text ==
stored[start:end]`, its page, what can be quoted of it) holds for them.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from core.errors import PlatformError
from retrievers.base import Chunk, Passage
from retrievers.seams import last_seam
from retrievers.sentences import units
from retrievers.steps.settings import Compression
from retrievers.steps.step import Retrieved, Step

if TYPE_CHECKING:
    from retrievers.library import Resources

log = structlog.get_logger()

CountTokens = Callable[[str], int]
#: A sentence's worth is its cosine to the question plus this much times the share of the question's words in it, and this much
#: for the score of its passage.
_COVERAGE_WEIGHT = 0.6
_PASSAGE_WEIGHT = 0.3
#: Tokens that a stretch takes in a prompt beside its text: its number, its document, its headings.
_MARK_TOKENS = 30
#: More sentences than these are compared by their words alone.
_MOST_EMBEDDED = 200
_CHARACTERS_A_TOKEN = 3
#: Seconds after which words alone decide, rather than that all is put into the prompt.
_COMPARED_WITHIN_S = 15.0


@dataclass(slots=True)
class _Sentence:
    passage: int
    start: int
    end: int
    text: str
    tokens: int
    worth: float = 0.0


class CompressionStep(Step):
    """Leaves the passages as they are where they fit. `room` is what a prompt has left, in tokens; None where that is not
    known. `tell` counts the tokens of the model that will read them."""

    step = "compression"

    def __init__(self, settings: Compression, resources: "Resources", tell: CountTokens, room: int | None = None) -> None:
        self._tokens = settings.tokens if room is None else max(min(settings.tokens, room), 1)
        self._resources, self._count = resources, tell

    async def take(self, found: Retrieved) -> Sequence[Passage]:
        sentences = await asyncio.to_thread(self._sentences, found)
        if not sentences:
            return found.passages
        cosines = await self._cosines(found.query, sentences)
        return await asyncio.to_thread(self._compressed, found, sentences, cosines)

    def _sentences(self, found: Retrieved) -> list[_Sentence]:
        """The sentences of the passages; none where nothing has to be left out."""
        if sum(self._count(passage.chunk.text) + _MARK_TOKENS for passage in found.passages) <= self._tokens:
            return []
        return [
            _Sentence(place, unit.start, unit.end, text := passage.chunk.text[unit.start : unit.end], self._count(text))
            for place, passage in enumerate(found.passages)
            for unit in units(passage.chunk.text)
        ]

    async def _cosines(self, query: str, sentences: Sequence[_Sentence]) -> Sequence[float]:
        """How near each sentence is to the query by meaning; nothing where that is not known in time."""
        embeddings = self._resources.models.embeddings()
        texts = [query, *(one.text for one in sentences)]
        if len(sentences) <= _MOST_EMBEDDED:
            try:
                async with asyncio.timeout(_COMPARED_WITHIN_S):
                    made = await asyncio.to_thread(embeddings.embed_documents, texts)
            except (PlatformError, TimeoutError) as error:
                log.info("search.compressed_by_words", reason=type(error).__name__)
            else:
                vectors = np.asarray(made, dtype=np.float32)
                return [float(cosine) for cosine in vectors[1:] @ vectors[0]]
        return [0.0] * len(sentences)

    def _compressed(self, found: Retrieved, sentences: Sequence[_Sentence], cosines: Sequence[float]) -> Sequence[Passage]:
        lexical = self._resources.lexical
        weights = lexical.weights(found.shelf, found.query)
        total = sum(weights.values())
        best = max(max(passage.score for passage in found.passages), 1e-9)
        for sentence, cosine in zip(sentences, cosines, strict=True):
            held = set(lexical.words(sentence.text))
            covered = sum(weight for word, weight in weights.items() if word in held) / total if total > 0 else 0.0
            scored = _PASSAGE_WEIGHT * found.passages[sentence.passage].score / best
            sentence.worth = cosine + _COVERAGE_WEIGHT * covered + scored
        return [
            _stretch(found.passages[place], number, start, end)
            for place, runs in sorted(_runs(_chosen(sentences, self._tokens)).items())
            for number, (start, end) in enumerate(runs)
        ]


def _chosen(sentences: Sequence[_Sentence], room: int) -> list[_Sentence]:
    """The sentences of most worth that fit, with what a row of a table needs to be read; at least a part of the best."""
    kept: set[int] = set()
    begun: set[int] = set()
    for number in sorted(range(len(sentences)), key=lambda number: (-sentences[number].worth, number)):
        wanted = {number, *_header(sentences, number)} - kept
        passage = sentences[number].passage
        cost = sum(sentences[one].tokens for one in wanted) + (0 if passage in begun else _MARK_TOKENS)
        if cost <= room:
            kept |= wanted
            begun.add(passage)
            room -= cost
        elif not kept:
            kept.add(number)
            sentences[number].end = _cut(sentences[number], room)
            break
    return [sentences[number] for number in sorted(kept)]


def _header(sentences: Sequence[_Sentence], number: int) -> Iterator[int]:
    """The two lines that a table begins with, of which a sentence is a row."""
    if not sentences[number].text.startswith("|"):
        return
    first = number
    while first and sentences[first - 1].passage == sentences[number].passage and sentences[first - 1].text.startswith("|"):
        first -= 1
    yield from range(first, min(first + 2, number))


def _cut(sentence: _Sentence, room: int) -> int:
    most = max(room * _CHARACTERS_A_TOKEN, _CHARACTERS_A_TOKEN)
    if len(sentence.text) <= most:
        return sentence.end
    return sentence.start + (last_seam(sentence.text, 0, most) or most)


def _runs(chosen: Sequence[_Sentence]) -> Mapping[int, list[tuple[int, int]]]:
    """The kept stretches of each passage: sentences that follow each other are one."""
    runs: dict[int, list[tuple[int, int]]] = {}
    for sentence in chosen:
        mine = runs.setdefault(sentence.passage, [])
        if mine and sentence.start - mine[-1][1] <= 3:
            mine[-1] = (mine[-1][0], sentence.end)
        else:
            mine.append((sentence.start, sentence.end))
    return runs


def _stretch(passage: Passage, number: int, start: int, end: int) -> Passage:
    chunk: Chunk = passage.chunk
    if (start, end) == (0, len(chunk.text)):
        return passage
    begins = chunk.start + start
    part = replace(
        chunk,
        id=f"{chunk.id}.{number}",
        text=chunk.text[start:end],
        start=begins,
        end=chunk.start + end,
        page=chunk.page_at(begins),
        parts=(),
    )
    return replace(passage, chunk=part)
