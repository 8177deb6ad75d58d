"""The search of a collection as one runnable: the search itself, and the steps that the collection's settings put behind it."""

# ruff: noqa: A002 - `input` and `filter` are what their interfaces call them

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig

from chains.protection.protection import admit_said
from chains.protection.tracing import may_be_traced, telling
from chains.retrieval.judging import chat_judge, encoder_judge, provider_judge
from chains.retrieval.queries import Queries, queries
from chains.spec import ChainDeps
from core import denials
from core.bridge import call
from core.context import current, serving
from core.principals import Scope
from retrievers.base import Shelf
from retrievers.search import Mode
from retrievers.steps.compression import CompressionStep
from retrievers.steps.decay import TimeDecayStep
from retrievers.steps.diversity import DiversityStep
from retrievers.steps.expansion import ExpansionStep
from retrievers.steps.joining import join
from retrievers.steps.reranking import Judge, RerankStep
from retrievers.steps.settings import Rerank, RetrievalSteps, steps_of
from retrievers.steps.step import Retrieved, Step

if TYPE_CHECKING:
    from core.tables import Collection

#: What a search finds for steps to choose from: so many times what is wanted in the end.
_TIMES = 4
_MOST_RESULTS = 200


class Search(Runnable[Retrieved, Retrieved]):
    """The search itself: for the query, and for what the chat model made of it where the settings ask for that."""

    def __init__(self, deps: ChainDeps, steps: RetrievalSteps, alias: str | None) -> None:
        self._deps, self._steps, self._alias = deps, steps, alias

    async def ainvoke(self, input: Retrieved, config: RunnableConfig | None = None, **kwargs: Any) -> Retrieved:
        """What is found, best first, as many as the steps behind it choose from.

        Raises:
            what `retrievers.search.Searcher.find` raises
            PolicyRefused: the tenant's policies do not let the model see the query.
        """
        made = await queries(self._deps, self._steps, input.query, self._alias) if self._asks else Queries()
        searcher = self._deps.library.searcher
        depth = self._depth(input.limit)
        beside = (made.passage,) if made.passage else ()
        first = await searcher.find(
            input.shelf,
            input.query,
            limit=depth,
            mode=input.mode,
            filter=input.filter,
            feedback=self._steps.feedback,
            beside=beside,
        )
        others = await asyncio.gather(
            *(
                searcher.find(input.shelf, query, limit=depth, mode=input.mode, filter=input.filter)
                for query in (*made.wordings, *made.parts)
            )
        )
        wordings, parts = others[: len(made.wordings)], others[len(made.wordings) :]
        passages = join(first.passages, [one.passages for one in wordings], [one.passages for one in parts])
        degraded = first.degraded or any(one.degraded for one in others)
        steps = (*input.steps, *made.steps, *first.steps)
        by_words = first.by_words or any(one.by_words for one in others)
        return replace(input, passages=tuple(passages[:depth]), steps=steps, degraded=degraded, by_words=by_words)

    def invoke(self, input: Retrieved, config: RunnableConfig | None = None, **kwargs: Any) -> Retrieved:
        """As `ainvoke`, from synchronous code outside of the event loop of its database."""
        return call(self.ainvoke(input, config), None)

    @property
    def _asks(self) -> bool:
        steps = self._steps
        return any(step is not None for step in (steps.multi_query, steps.decomposition, steps.hyde))

    def _depth(self, limit: int) -> int:
        """What is found at first: no more than is wanted where nothing chooses among it."""
        steps = self._steps
        wanted = [limit]
        wanted += [steps.rerank.candidates] if steps.rerank else []
        wanted += [steps.mmr.candidates] if steps.mmr else []
        wanted += [_TIMES * limit] if steps.time_decay or steps.rerank or steps.multi_query or steps.decomposition else []
        return min(max(wanted), _MOST_RESULTS)


class Retrieval:
    """Searches with their steps, for whoever searches: questions and the search itself."""

    def __init__(self, deps: ChainDeps) -> None:
        self._deps = deps

    async def find(
        self,
        collection: "Collection",
        query: str,
        *,
        limit: int,
        mode: Mode = "hybrid",
        filter: Mapping[str, Any] | None = None,
        alias: str | None = None,
    ) -> Retrieved:
        """At most `limit` passages, best first. `alias` is the chat model of steps that name none.

        Raises:
            what `retrievers.search.Searcher.find` raises
            Forbidden: a step asks a model, and the caller may but search (`rag:search`).
            PolicyRefused: a tenant's policy, or a guard before its alias, does not let a step's model see the query.
        """
        steps = steps_of(collection)
        wanted = Retrieved(Shelf.of(collection), query, limit, mode=mode, filter=filter)
        if not asks_a_model(steps):
            return await self._run(steps, wanted, alias)
        if not (principal := current().principal).may(Scope.RAG_READ):
            raise denials.lacks(principal, Scope.RAG_READ, act="search a collection whose searches ask a model")
        asked = (alias, *(model for model, _ in steps.models().values()))
        if current().capability:
            await admit_said(self._deps, [query], asked)
            return await self._run(steps, wanted, alias)
        # a search that asks a model is under the rules that questions to collections are under
        outer, run = current(), current().beside()
        run.capability = "rag"
        try:
            with serving(run), telling(may_be_traced(self._deps.models)):
                await admit_said(self._deps, [query], asked)
                return await self._run(steps, wanted, alias)
        finally:
            outer.add(run)

    async def _run(self, steps: RetrievalSteps, wanted: Retrieved, alias: str | None) -> Retrieved:
        found = wanted
        for step in (Search(self._deps, steps, alias), *self.steps(steps, alias)):
            found = await step.ainvoke(found)
        return replace(found, passages=found.passages[: wanted.limit])

    def steps(self, steps: RetrievalSteps, alias: str | None = None) -> Sequence[Step]:
        """The steps behind the search, in their order; compression is the prompt's, see `compressed`."""
        library = self._deps.library
        database, resources, settings = library.database, library.resources, library.settings.retrieval
        taken: list[Step] = []
        if steps.time_decay is not None:
            taken.append(TimeDecayStep(steps.time_decay, database))
        if steps.rerank is not None:
            taken.append(RerankStep(steps.rerank, self._judge(steps.rerank, alias)))
        if steps.mmr is not None:
            taken.append(DiversityStep(steps.mmr, resources))
        if steps.expansion is not None:
            taken.append(ExpansionStep(steps.expansion, database, resources, chunk_tokens=settings.chunk_tokens))
        return taken

    def _judge(self, settings: Rerank, alias: str | None) -> Judge:
        if settings.by == "cross_encoder":
            return encoder_judge(self._deps.library.resources.cross_encoder)
        if settings.by == "provider" and settings.model is not None:
            return provider_judge(self._deps, settings.model)
        return chat_judge(self._deps, settings, alias)

    async def compressed(self, found: Retrieved, steps: RetrievalSteps, *, alias: str | None, room: int | None) -> Retrieved:
        """What of the passages goes into a prompt of that alias's model, which has `room` tokens for them; all of them where
        the settings do not ask for less."""
        if steps.compression is None:
            return found
        models, resources = self._deps.models, self._deps.library.resources

        def tokens(text: str) -> int:
            return models.count_tokens(text, alias)

        return await CompressionStep(steps.compression, resources, tokens, room).ainvoke(found)


def asks_a_model(steps: RetrievalSteps) -> bool:
    """Whether a search with these steps asks a chat model or a provider's reranker."""
    judged = steps.rerank is not None and steps.rerank.by != "cross_encoder"
    return judged or any(step is not None for step in (steps.multi_query, steps.decomposition, steps.hyde))
