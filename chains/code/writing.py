"""Capabilities that write code: ask, find the code in the answer, parse it, and have it repaired once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import structlog
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel, Field

from chains.code import naming, parsing, spellings, syntax
from chains.code.answers import Written
from chains.code.claims import borne_out
from chains.code.inputs import CodeInput
from chains.forms import Accounted, DictForm
from chains.parameters import ModelChoice, bind
from chains.prompting import DIVIDER, prompt
from chains.spec import ChainDeps, Delta
from core.errors import DeadlineExceeded, ProviderFailed, RateLimited, Unavailable

log = structlog.get_logger()

REPAIR_PROMPT = "code/repair.txt"
AGAIN_PROMPT = "code/again.txt"
#: What a caller may name where no language is meant.
UNTOLD = "text"
_ANY = frozenset({UNTOLD, "plain", "plaintext", "pseudocode", "pseudo"})
#: An answer that runs on is cut here for models that easily loop.
_SMALL_MODEL_TOKENS = 512
_UNRUN = "A small model wrote this, and nobody has run it."


class CodeResult(BaseModel):
    """Code that was written."""

    code: str
    language: str
    explanation: str
    valid: bool | None = Field(description="whether the code parses; null where no parser can tell")
    problems: list[syntax.Problem] = Field(default_factory=list, description="where it does not parse")


class CodeOutput(BaseModel):
    """The capability's own fields of the answer."""

    output: CodeResult


class CodeAnswer(CodeOutput, Accounted):
    """Code, and what it took."""


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt file with its values, and the language that the code is to be in."""

    prompt: str
    values: Mapping[str, str]
    language: str
    #: Whether somebody has asked for that language; where nobody has, the model may write in another.
    told: bool = True
    #: What is wrong with code that parses, in words that can be told to the model; None where nothing is.
    fault: Callable[[str], Awaitable[str | None]] | None = None
    #: What is taken out of code, or put right in it, before it is judged.
    tidied: Callable[[str], Awaitable[str]] | None = None


def draft_form() -> DictForm:
    """The model's words stream as `draft`; `output` comes when they have been read."""
    return DictForm(text_key="draft")


def messages(name: str, values: Mapping[str, str]) -> list[BaseMessage]:
    """A prompt file's messages: the system's and the user's part, divided by a line of three dashes."""
    system, _, user = prompt(name).substitute(values).partition(DIVIDER)
    return [SystemMessage(system), HumanMessage(user)]


async def stream_text(deps: ChainDeps, asked: ModelChoice, prompted: list[BaseMessage]) -> AsyncIterator[str]:
    """The model's answer, piece by piece."""
    async for chunk in _writer(deps, asked).astream(prompted):
        if piece := cast("AIMessageChunk", chunk).text:
            yield piece


def _writer(deps: ChainDeps, asked: ModelChoice) -> Runnable[Any, AIMessage]:
    facts = deps.models.facts(asked.model)
    defaults: dict[str, Any] = {"temperature": 0.0} | ({"max_tokens": _SMALL_MODEL_TOKENS, "seed": 0} if facts.small else {})
    return bind(deps.models.chat(asked.model), asked, defaults)


async def write(deps: ChainDeps, asked: ModelChoice, task: Task) -> AsyncIterator[Delta]:
    """Write code, and have it repaired once if it does not parse or is not what was asked for. The better of both is the
    answer, with what is wrong in it."""
    prompted = messages(task.prompt, task.values)
    text = ""
    async for piece in stream_text(deps, asked, prompted):
        text += piece
        yield Delta(text=piece)
    result, parses = await _read(text, task)
    if result.valid is False:
        first = result.problems[0]
        if parses:
            again = prompt(AGAIN_PROMPT).substitute(language=task.language, problem=first.message)
            repairing = [*prompted, AIMessage(text or "…"), HumanMessage(again)]
        else:
            values = {"language": result.language, "code": result.code, "line": str(first.line), "problem": first.message}
            repairing = messages(REPAIR_PROMPT, values)
        second = await _repaired(deps, asked, task, repairing)
        if second is not None and second.valid is not False and second.code:
            result = second.model_copy(update={"explanation": (second if parses else result).explanation or second.explanation})
    yield Delta(final={"output": await _marked(result) if deps.models.facts(asked.model).small else result})


async def _marked(result: CodeResult) -> CodeResult:
    """Of a small model's words those that its code bears out, and that nobody has run it."""
    read = await parsing.told(result.code, result.language)
    recursive = any("calls itself" in one for one in read)
    kept = borne_out(result.explanation, result.code, result.language, recursive=recursive)
    return result.model_copy(update={"explanation": f"{kept}\n{_UNRUN}".strip()})


async def _repaired(deps: ChainDeps, asked: ModelChoice, task: Task, prompted: list[BaseMessage]) -> CodeResult | None:
    """The second try; None where nobody could make it, or not in time: the first says what is wrong with it."""
    try:
        # nobody reads its pieces: as a whole it may start again elsewhere
        text = (await _writer(deps, asked).ainvoke(prompted)).text
    except (ProviderFailed, RateLimited, Unavailable, DeadlineExceeded) as error:
        log.warning("code.not_repaired", reason=error.code)
        return None
    return (await _read(text, task))[0]


async def _read(text: str, task: Task) -> tuple[CodeResult, bool]:
    """What was written, and whether it parses as something, so that what is wrong with it is not its syntax."""
    written = await parsing.answer(text, task.language)
    if task.tidied:
        written = replace(written, code=await task.tidied(written.code))
    language = task.language
    judged = await parsing.syntax(written.code, language)
    other = await _other_language(written, task) if judged.valid is not True else None
    if not task.told and (chosen := other or written.language) and chosen not in _ANY and chosen != language:
        language, other = chosen, None
        judged = await parsing.syntax(written.code, language)
    valid, problems = judged.valid, list(judged.problems)
    parses = valid is True
    untold = judged.unknown
    if other and untold:  # the name is nobody's here, so that the code may well be what was asked for
        problems = [syntax.Problem(line=1, message=f"{parsing.UNKNOWN}; it parses as {other}")]
        other = None
    elif other:
        valid, parses = False, True
        problems = [syntax.Problem(line=1, message=f"asked for {language}, this is {other}")]
    elif (parses or untold) and task.fault and (fault := await task.fault(written.code)):
        valid, problems = False, [syntax.Problem(line=1, message=fault)]
    result = CodeResult(
        code=written.code, language=other or language, explanation=written.words, valid=valid, problems=problems
    )
    return result, parses


async def _other_language(written: Written, task: Task) -> str | None:
    """The language that code is in which does not parse as the one asked for, or of which no parser can tell."""
    language = task.language
    if not written.code.strip() or (language in _ANY and task.told):
        return None
    named = written.language if written.language != language else None
    for other in (named, await parsing.detect(written.code)):
        if other and other != language and (await parsing.syntax(written.code, other)).valid:
            return other
    return None


async def language_of(asked: CodeInput) -> str:
    """The language that a caller named, the one that the code shows, or one that the instruction names; `text` when nothing
    tells."""
    if asked.language:
        return spellings.canonical(asked.language)
    return (await parsing.detect(asked.code)) or naming.named(asked.instruction or "") or UNTOLD


def is_told(asked: CodeInput, language: str) -> bool:
    """Whether a language was named or found, so that it is the one to write in."""
    return bool(asked.language) or language != UNTOLD
