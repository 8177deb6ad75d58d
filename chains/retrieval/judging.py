"""Who judges passages for reranking: the chat model, a cross-encoder on this machine, or a provider's reranker."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

from chains.excerpts import excerpt
from chains.phrasing import as_sources, shown
from chains.prompting import prompt
from chains.protection.protection import Found
from chains.retrieval.asking import asked
from chains.root import admit_to_model
from chains.spec import ChainDeps
from providers.cross_encoder import CrossEncoder
from retrievers.base import Passage
from retrievers.indexing import embedded_text
from retrievers.steps.reranking import Judge
from retrievers.steps.settings import Rerank
from retrievers.steps.step import Unable

PROMPT = "rag_judge.txt"
_LINE_TOKENS = 8
#: Characters of a passage that the chat model is shown: all of one of the default size, nearly.
_MOST_CHARACTERS = 1000
_FEWEST_CHARACTERS = 200
#: Tokens of its context that a prompt leaves for the question, the marks of the sources and the reply.
_LEFT_TOKENS = 1000
_CHARACTERS_A_TOKEN = 3
_BEST = 10.0
_SAID = re.compile(r"^\W*(\d{1,3})\W+(\d{1,2}(?:\.\d+)?)\b", re.M)


def chat_judge(deps: ChainDeps, settings: Rerank, alias: str | None) -> Judge:
    """The chat model as a judge. What the guards of found text do not let pass it does not see, and says nothing of.

    The judge raises `Unable` (`model_too_small`) where the model is too small to judge, and what a call of it raises.
    """
    alias = settings.model or alias

    async def judge(query: str, passages: Sequence[Passage]) -> list[float | None]:
        facts = deps.models.facts(alias)
        if facts.small:
            raise Unable("This model is too small to judge passages.", code="model_too_small")
        seen = await allowed(deps, alias, passages)
        if not seen:
            return [None] * len(passages)
        room = _MOST_CHARACTERS
        if facts.context_tokens is not None:
            room = _CHARACTERS_A_TOKEN * max(facts.context_tokens - _LEFT_TOKENS, 0) // len(seen)
        cut = [_excerpt(passage, query, max(_FEWEST_CHARACTERS, min(room, _MOST_CHARACTERS))) for passage in seen]
        text = prompt(PROMPT).substitute(sources=as_sources(deps, alias, cut), question=query)
        said = await asked(deps, alias, text, max_tokens=_LINE_TOKENS * len(cut) + 20, sources=len(cut))
        worth = {seen[number - 1].chunk.id: value for number, value in marks(said, len(seen)).items()}
        return [worth.get(passage.chunk.id) for passage in passages]

    return judge


def encoder_judge(encoder: CrossEncoder | None) -> Judge:
    """The cross-encoder that the operator has configured. Without one the judge raises `Unable` (`no_cross_encoder`)."""

    async def judge(query: str, passages: Sequence[Passage]) -> Sequence[float | None]:
        if encoder is None:
            raise Unable("No cross-encoder is configured here.", code="no_cross_encoder")
        return await asyncio.to_thread(encoder.scores, query, [embedded_text(passage.chunk) for passage in passages])

    return judge


def provider_judge(deps: ChainDeps, alias: str) -> Judge:
    """A provider's reranker. What the guards of found text do not let pass it does not see."""

    async def judge(query: str, passages: Sequence[Passage]) -> Sequence[float | None]:
        admit_to_model(alias)
        seen = await allowed(deps, alias, passages)
        said = await deps.models.reranker(alias).scores(query, [embedded_text(passage.chunk) for passage in seen])
        worth = dict(zip((passage.chunk.id for passage in seen), said, strict=True))
        return [worth.get(passage.chunk.id) for passage in passages]

    return judge


async def allowed(deps: ChainDeps, alias: str | None, passages: Sequence[Passage]) -> list[Passage]:
    """The passages that the guards of found text let a model see."""
    return await Found(deps, alias).passages(passages, lambda passage: "\n".join(shown(passage.chunk)))


def marks(said: str, count: int) -> dict[int, float]:
    """What a judge said of each passage by its number, from 0 to 1. The first word on one counts."""
    found: dict[int, float] = {}
    for number, value in _SAID.findall(said):
        if 1 <= int(number) <= count:
            found.setdefault(int(number), min(float(value) / _BEST, 1.0))
    return found


def _excerpt(passage: Passage, query: str, characters: int) -> Passage:
    return replace(passage, chunk=replace(passage.chunk, text=excerpt(passage.chunk.text, query, characters)))
