"""The `rag` capability: a question to a collection in, an answer with verified citations out, or an honest "not there"."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from chains.citations import Citation, Verifier, citations
from chains.continuations import going_on
from chains.conversations import SessionField
from chains.follow_ups import Reading, of_answers
from chains.grading import PROMPT as GRADE
from chains.grading import refuted
from chains.grounding import Evidence, gather
from chains.histories import room, trimmed
from chains.kept_citations import to_keep
from chains.languages import language_of, languages
from chains.messages import Assistant, User
from chains.parameters import ModelChoice
from chains.phrasing import ANSWER_TOKENS, PROMPTS, TURNS, from_quotes, from_sources, shown, standalone, unmarked
from chains.protection.keeping import keep, recalled
from chains.protection.protection import Found
from chains.quotes import Quote
from chains.refusals import INVALID_FILTER
from chains.retrieval.judging import PROMPT as JUDGE
from chains.retrieval.queries import PROMPTS as QUERIES
from chains.retrieval.retrieval import Retrieval
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from chains.wordwise import vectors_of_words
from core import traces
from core.context import current
from core.errors import InvalidRequest, PlatformError
from core.principals import Scope
from core.tables import Collection
from retrievers.base import Passage, Shelf
from retrievers.filters import parse
from retrievers.steps.settings import steps_of
from retrievers.steps.step import Retrieved

log = structlog.get_logger()

#: Below this probability the quotes do not answer the question. A model that can tell by itself is asked from the lower one on.
_ANSWERED = 0.24
_WORTH_ASKING = 0.03
#: Passages that sentences are picked from, beside those that a prompt holds.
_SEARCHED = 8
#: Said of a large model's answer that nothing was found for.
_UNPROVEN = "No passage was found that says what this answer says: do not rely on it without looking it up."
#: Tokens of a prompt beside its sources, its answer and the turns before.
_PROMPT_TOKENS = 600

#: Seconds after which sentences are compared by their words rather than waited for. Local ones take under a second.
_JUDGED_WITHIN_S = 30.0


def _is_filter(given: dict[str, Any]) -> dict[str, Any]:
    """Refused before anything is searched, in the words that a search would have for it."""
    try:
        parse(given)
    except InvalidRequest as error:
        raise PydanticCustomError(INVALID_FILTER, "{reason}", {"reason": error.message}) from None
    return given


class RAGRequest(ModelChoice):
    """A question, and the collection that is to answer it."""

    question: Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"\S")] = Field(
        description="what to find out", json_schema_extra={"widget": {"type": "textarea"}}
    )
    collection: str = Field(max_length=64, description="the name of the collection", examples=["handbook"])
    session_id: SessionField = None
    filter: Annotated[dict[str, Any], AfterValidator(_is_filter)] | None = Field(
        None,
        description="what passages must have: values, or conditions on them, of document attributes, of `document` (the name), "
        "`document_id` or `page`",
        examples=[{"year": {"gte": 2024}}],
    )
    limit: int | None = Field(None, ge=1, le=20, description="passages to answer from; empty: the platform's default")


class RAGAnswer(BaseModel):
    """The fields of the flat answer that are RAG's own."""

    output: str = Field(description="the answer, or that the collection does not hold one")
    citations: list[Citation] = Field(description="what the answer stands on; each quote equals the stored text")
    answered: bool = Field(
        description="false where the collection does not hold the answer, or no passage was found that says what the model says"
    )
    nearest: list[Citation] = Field(
        default_factory=list,
        description="where the collection does not hold the answer: what comes closest in it, word for word; it may not answer",
    )
    degraded: bool = Field(False, description="a part of the search did not answer, or a step was skipped; see `search`")
    indexing: bool = Field(False, description="documents of the collection are still being read, so more may be known soon")
    warnings: list[str] = Field(
        default_factory=list,
        description="what the question suffers from: a filter's attribute that no document has; that nothing proves the answer",
    )


async def ask(deps: ChainDeps, asked: RAGRequest) -> AsyncIterator[Delta]:
    """Search, pick what to quote, let the model phrase it, and check what it says."""
    principal = current().principal
    collection = await deps.library.collections.get(principal, asked.collection)
    facts = deps.models.facts(asked.model)
    kept, history = None, []
    if asked.session_id is not None:
        kept = await recalled(deps, asked.session_id)
        count = partial(deps.models.count_tokens, alias=asked.model)
        most = deps.settings.conversations.history_tokens
        budget = room([], most=most, window=facts.context_tokens, answer=asked.max_tokens, count=count)
        history = await asyncio.to_thread(trimmed, kept.messages[-TURNS:], budget_tokens=budget, count=count)
        await kept.admit(history, asked.model)
    verifier = Verifier(deps.library, principal, collection)
    answer: RAGAnswer | None = None
    read = await standalone(deps, asked.question, history, asked.model)
    wording, sought = await _sought(deps, asked, collection, read, history)
    passages, evidence = sought.retrieved.passages, sought.evidence
    quotes = await verifier.verified(evidence.quotes)
    prompted = replace(sought.retrieved, passages=passages[: asked.limit or deps.settings.retrieval.results])
    if not facts.small:
        prompted = await _compressed(deps, asked, collection, prompted, history)
    sources = prompted.passages
    if facts.small:
        if quotes and evidence.confidence >= _ANSWERED and not await refuted(deps, wording, sources):
            text, used = await from_quotes(deps, asked, wording, quotes)
            answer = RAGAnswer(output=text, citations=citations(used), answered=True)
            yield Delta(text=text)
    elif passages and evidence.likelihood >= _WORTH_ASKING and not await refuted(deps, wording, sources):
        async for piece in from_sources(deps, asked, wording, history, sources):
            if isinstance(piece, str):
                yield Delta(text=piece)
            elif piece.answered:
                used = await verifier.verified(piece.quotes)
                if not used:  # of its marks none holds, or it has made none
                    words = deps.library.resources.lexical.words
                    used = await verifier.verified(unmarked(piece.text, sources, words=words)) or quotes
                warnings = [] if used else [_UNPROVEN]
                answer = RAGAnswer(output=piece.text, citations=citations(used), answered=bool(used), warnings=warnings)
    pending = await deps.library.collections.pending(collection)
    if answer is None:
        found = sought.anything
        warnings = [] if found else await deps.library.searcher.unknown_attributes(Shelf.of(collection), asked.filter)
        text = _nothing(asked, found=found, pending=pending, warnings=warnings)
        near = citations(await verifier.verified(sought.evidence.nearest))
        answer = RAGAnswer(output=text, citations=[], answered=False, nearest=near, warnings=warnings)
        yield Delta(text=answer.output)
    answer.indexing, answer.degraded = pending > 0, sought.degraded or prompted.impaired
    yield Delta(data={"citations": answer.citations, "answered": answer.answered, "nearest": answer.nearest})
    if asked.session_id is not None and kept is not None:
        said, reply = [User(content=asked.question)], Assistant(content=answer.output)
        cited = to_keep(answer.citations, asked.collection)
        await keep(deps, asked.session_id, kept, said=said, answer=reply, collection=asked.collection, cited=cited)
    yield Delta(final=answer)


@dataclass(frozen=True, slots=True)
class _Sought:
    """What was found and may be read, what of it answers, whether anything was done without what it should have had, and
    whether anything was found at all: guards may have left out everything. `goes_on`: it is answered from a document that the
    answer before was of."""

    retrieved: Retrieved
    evidence: Evidence
    degraded: bool
    anything: bool
    goes_on: bool

    @property
    def answered(self) -> bool:
        return self.evidence.confidence >= _ANSWERED


async def _compressed(
    deps: ChainDeps, asked: RAGRequest, collection: Collection, sources: Retrieved, history: Sequence[Any]
) -> Retrieved:
    """What of the sources goes into the prompt, as the collection's settings say."""
    context = deps.models.facts(asked.model).context_tokens
    taken = _PROMPT_TOKENS + (asked.max_tokens or ANSWER_TOKENS) + sum(len(message.text()) for message in history) // 3
    room = None if context is None else context - taken
    return await Retrieval(deps).compressed(sources, steps_of(collection), alias=asked.model, room=room)


async def _sought(
    deps: ChainDeps, asked: RAGRequest, collection: Collection, read: Sequence[Reading], history: Sequence[Any]
) -> tuple[str, _Sought]:
    """What is found for the first of the readings that is answered, in its words; for the first of all where none is."""
    answers = [message.text() for message in reversed(history) if isinstance(message, Assistant)]
    small = deps.models.facts(asked.model).small
    found: list[tuple[str, _Sought]] = []
    for reading in read:
        if not reading.topic and (likely := [each for each in found if each[1].answered]):
            return likely[0]  # of what was spoken of, though not of the document that was answered from
        found.append((reading.text, await _find(deps, asked, collection, reading, answers)))
        last = found[-1][1]
        if (last.answered and (last.goes_on or not reading.topic)) or (not small and last.evidence.likelihood >= _WORTH_ASKING):
            return found[-1]
    return next((each for each in found if each[1].answered), found[0])


async def _find(
    deps: ChainDeps, asked: RAGRequest, collection: Collection, reading: Reading, answers: Sequence[str]
) -> _Sought:
    """What is found for a reading of the question. The `answers` before, newest first, tell what it goes on about."""
    limit = max(_SEARCHED, asked.limit or deps.settings.retrieval.results)
    sought = answers[0] if reading.onward and answers else reading.text
    found = await Retrieval(deps).find(collection, sought, limit=limit, filter=asked.filter, alias=asked.model)
    passages = await Found(deps, asked.model).passages(found.passages, lambda passage: "\n".join(shown(passage.chunk)))
    resources = deps.library.resources
    embeddings = resources.models.embeddings()
    by_words = found.by_words

    def pick(within: Sequence[Passage]) -> Evidence:
        lexical = resources.lexical
        weights = lexical.weights(Shelf.of(collection), reading.text)

        def embed(texts: Any) -> NDArray[np.float32]:
            if by_words:
                return vectors_of_words(texts, words=lexical.words, weights=weights)
            return np.asarray(embeddings.embed_documents(list(texts)), dtype=np.float32)

        return gather(
            reading.text,
            within,
            embed=embed,
            weights=weights,
            words=lexical.words,
            about=reading.about,
            topic=reading.topic,
            new=reading.new,
            inside=reading.inside,
            named=reading.named,
        )

    async def judged(within: Sequence[Passage]) -> Evidence:
        nonlocal by_words
        with traces.span("rerank passages"):
            if not by_words:
                try:
                    async with asyncio.timeout(_JUDGED_WITHIN_S):
                        return await asyncio.to_thread(pick, within)
                except (PlatformError, TimeoutError) as error:
                    by_words = True
                    log.warning("rag.degraded", reason=type(error).__name__)
            return await asyncio.to_thread(pick, within)

    searched = passages[: asked.limit or _SEARCHED]
    if reading.onward:
        quote = going_on(reading.onward, answers[0], searched) if answers else None
        evidence = Evidence((), 0.0, 0.0) if quote is None else Evidence((quote,), 1.0, 1.0)
        return _Sought(replace(found, passages=tuple(passages)), evidence, found.impaired, bool(found.passages), True)
    told = of_answers(answers, searched) if reading.topic else []
    evidence = await judged(told or searched)
    goes_on = bool(told) and evidence.confidence >= _ANSWERED
    if told and not goes_on:
        evidence = await judged(searched)
    left = replace(found, passages=tuple(passages))
    return _Sought(left, evidence, by_words or found.impaired, bool(found.passages), goes_on)


def _nothing(asked: RAGRequest, *, found: bool, pending: int, warnings: list[str]) -> str:
    """That there is no answer, in the language of the question as far as that is known."""
    language = language_of(asked.question) or languages()[0]
    if pending:
        are: str | int = pending
        if language.code == "en":
            are = "1 document is" if pending == 1 else f"{pending} documents are"
        return language.refusal("unread", collection=asked.collection, pending=are)
    if found:
        return language.refusal("nothing", collection=asked.collection)
    if asked.filter:
        return " ".join([language.refusal("unmatched", collection=asked.collection), *warnings])
    return language.refusal("empty", collection=asked.collection)


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque("rag", partial(ask, deps), deps=deps, input_type=RAGRequest, output_type=RAGAnswer)


SPEC = ChainSpec(
    name="rag",
    title="Ask your documents",
    description="A question to a collection in; an answer with citations out, or that the collection does not hold one.",
    input=RAGRequest,
    output=RAGAnswer,
    scope=Scope.RAG_READ,
    build=build,
    prompts=(*PROMPTS, GRADE, *QUERIES, JUDGE),
    answer=RAGAnswer,
    example={"question": "Which databases can the platform use?", "collection": "handbook"},
)

__all__ = ["SPEC", "Quote", "RAGAnswer", "RAGRequest", "ask", "build"]
