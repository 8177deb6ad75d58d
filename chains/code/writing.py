"""Capabilities that write code: ask, find the code in the answer, parse it, and have it repaired once."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field

from chains.code import languages, parsing, syntax
from chains.forms import Accounted, DictForm
from chains.parameters import ModelChoice, bind
from chains.prompting import prompt
from chains.spec import ChainDeps, Delta

REPAIR_PROMPT = "code/repair.txt"
_DIVIDER = "\n---\n"
#: An answer that runs on is cut here for models that easily loop.
_SMALL_MODEL_TOKENS = 512


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


def draft_form() -> DictForm:
    """The model's words stream as `draft`; `output` comes when they have been read."""
    return DictForm(text_key="draft")


def messages(name: str, values: Mapping[str, str]) -> list[BaseMessage]:
    """A prompt file's messages: the system's and the user's part, divided by a line of three dashes."""
    system, _, user = prompt(name).substitute(values).partition(_DIVIDER)
    return [SystemMessage(system), HumanMessage(user)]


async def stream_text(deps: ChainDeps, asked: ModelChoice, prompted: list[BaseMessage]) -> AsyncIterator[str]:
    """The model's answer, piece by piece."""
    facts = deps.models.facts(asked.model)
    defaults: dict[str, Any] = {"temperature": 0.0} | ({"max_tokens": _SMALL_MODEL_TOKENS} if facts.small else {})
    model = bind(deps.models.chat(asked.model), asked, defaults)
    async for chunk in model.astream(prompted):
        if piece := cast("AIMessageChunk", chunk).text:
            yield piece


async def write(deps: ChainDeps, asked: ModelChoice, task: Task) -> AsyncIterator[Delta]:
    """Write code, and repair it once if it does not parse. The better of both is the answer, with what is wrong in it."""
    text = ""
    async for piece in stream_text(deps, asked, messages(task.prompt, task.values)):
        text += piece
        yield Delta(text=piece)
    result = await _read(text, task.language)
    if result.valid is False:
        first = result.problems[0]
        values = {"language": result.language, "code": result.code, "line": str(first.line), "problem": first.message}
        repaired = "".join([piece async for piece in stream_text(deps, asked, messages(REPAIR_PROMPT, values))])
        second = await _read(repaired, result.language)
        if second.valid and second.code:
            result = second.model_copy(update={"explanation": result.explanation or second.explanation})
    yield Delta(final={"output": result})


async def _read(text: str, language: str) -> CodeResult:
    written = await parsing.answer(text, language)
    judged = await parsing.syntax(written.code, language)
    if judged.valid is False and written.language and written.language != language:
        other = await parsing.syntax(written.code, written.language)
        if other.valid:
            # it parses as what the model says that it is: an honest answer in another language than asked
            language, judged = written.language, other
    return CodeResult(
        code=written.code,
        language=language,
        explanation=written.words,
        valid=judged.valid,
        problems=list(judged.problems),
    )


async def language_of(code: str, named: str | None) -> str:
    """The language that a caller named, or the one that the code shows; `text` when nothing tells."""
    if named:
        return languages.canonical(named)
    return (await parsing.detect(code)) or "text"
