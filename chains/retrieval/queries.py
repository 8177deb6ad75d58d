"""What is searched for beside a query itself: other wordings, the questions it is made of, a passage that would answer it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from chains.prompting import prompt
from chains.retrieval.asking import asked
from chains.spec import ChainDeps
from core import traces
from core.errors import PlatformError, PolicyRefused
from retrievers.steps.settings import RetrievalSteps
from retrievers.steps.step import STEP_S, StepTaken

log = structlog.get_logger()

PROMPTS = ("rag_queries.txt", "rag_decompose.txt", "rag_hyde.txt")
_LINE_TOKENS = 60
_PASSAGE_TOKENS = 220
_MOST_CHARACTERS = 500
#: How a model numbers or quotes its lines.
_LEAD = re.compile(r"^(?:\W*\d{1,2}[.):]\s+|[-*•]\s+)?[\"“'`]*|[\"”'`]+$")


@dataclass(slots=True)
class Queries:
    """`wordings` say what the query says, `parts` are what it asks for one by one, `passage` is what might answer it."""

    wordings: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    passage: str = ""
    steps: list[StepTaken] = field(default_factory=list)


async def queries(deps: ChainDeps, steps: RetrievalSteps, question: str, alias: str | None) -> Queries:
    """What the settings ask for, asked of the model at once. A step that fails is left out, and said.

    Raises:
        PolicyRefused: the tenant's policies do not let the model see the question.
    """
    found = Queries()

    async def wordings() -> None:
        if (of := steps.multi_query) is not None:
            text = prompt("rag_queries.txt").substitute(count=of.queries, question=question)
            said = await asked(deps, of.model or alias, text, max_tokens=_LINE_TOKENS * of.queries)
            found.wordings = lines(said, question, of.queries)

    async def parts() -> None:
        if (of := steps.decomposition) is not None:
            text = prompt("rag_decompose.txt").substitute(count=of.questions, question=question)
            said = await asked(deps, of.model or alias, text, max_tokens=_LINE_TOKENS * of.questions)
            found.parts = lines(said, question, of.questions)

    async def passage() -> None:
        if (of := steps.hyde) is not None:
            text = prompt("rag_hyde.txt").substitute(question=question)
            found.passage = await asked(deps, of.model or alias, text, max_tokens=_PASSAGE_TOKENS)

    wanted = {"multi_query": wordings, "decomposition": parts, "hyde": passage}
    taken = [_taken(name, take) for name, take in wanted.items() if getattr(steps, name) is not None]
    found.steps += await asyncio.gather(*taken)
    return found


async def _taken(name: str, take: Callable[[], Awaitable[None]]) -> StepTaken:
    try:
        with traces.span("search step", {"genai.search.step": name}):
            async with asyncio.timeout(STEP_S):
                await take()
    except PolicyRefused:
        raise
    except (PlatformError, TimeoutError) as error:
        code = error.code if isinstance(error, PlatformError) else "step_timeout"
        log.warning("search.step_skipped", step=name, reason=code)
        return StepTaken(name, code)
    return StepTaken(name)


def lines(said: str, question: str, most: int) -> list[str]:
    """The lines of a model's answer, without their numbers and quotes, none twice and none the question itself."""
    found = (_LEAD.sub("", line.strip())[:_MOST_CHARACTERS].strip() for line in said.splitlines())
    own = question.strip().casefold()
    return list({line.casefold(): line for line in found if line and line.casefold() != own}.values())[:most]
