"""`code/explain`: code in, what it does out."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

from pydantic import BaseModel, Field

from chains.code import parsing
from chains.code.claims import borne_out
from chains.code.inputs import CodeInput
from chains.code.outline import Definition
from chains.code.prose import is_prose
from chains.code.writing import UNTOLD, draft_form, language_of, messages, stream_text
from chains.forms import Accounted
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

PROMPT = "code/explain.txt"

_NO_CODE = "No programming language was recognised in this: it reads as plain text. If it is code, name its `language`."
_UNCHECKED = "Written by a small model, and checked by nobody:"
_NOTHING_KEPT = "What the model wrote speaks of things that are not in the code, and was left out."


class ExplainInput(CodeInput):
    """Code to be explained."""


class Explanation(BaseModel):
    """What the code does."""

    language: str
    outline: list[Definition] = Field(default_factory=list, description="what the code defines, as its grammar sees it")
    explanation: str


class ExplainOutput(BaseModel):
    """The capability's own fields of the answer."""

    output: Explanation


class ExplainAnswer(ExplainOutput, Accounted):
    """An explanation, and what it took."""


async def explain(deps: ChainDeps, asked: ExplainInput) -> AsyncIterator[Delta]:
    """Explain code. That it does not parse is said first. Of a small model's words those stay that the code bears out, behind
    what was read from the code itself, and marked as what nobody has checked; of text that is no code it is not asked."""
    language = await language_of(asked)
    small = deps.models.facts(asked.model).small
    if small and language == UNTOLD and not asked.language and is_prose(asked.code):
        yield Delta(final={"output": Explanation(language=language, explanation=_NO_CODE)})
        return
    judged = await parsing.syntax(asked.code, language)
    values = {"language": language, "code": asked.code, "instruction": f" {asked.instruction}" if asked.instruction else ""}
    text = ""
    async for piece in stream_text(deps, asked, messages(PROMPT, values)):
        text += piece
        yield Delta(text=piece)
    defined = await parsing.outline(asked.code, language)
    said = text.strip()
    if small:
        read = await parsing.told(asked.code, language)
        said = _marked(read, borne_out(said, asked.code, language, recursive=any("calls itself" in one for one in read)))
    if judged.valid is False:
        first = judged.problems[0]
        said = f"This code does not parse (line {first.line}: {first.message}), so it does not run as it is.\n\n{said}"
    yield Delta(final={"output": Explanation(language=language, outline=defined, explanation=said)})


def _marked(read: Sequence[str], kept: str) -> str:
    """What is certain, and what a model thinks, each called what it is."""
    certain = ["Read from the code itself:", *(f"- {one}" for one in read), ""] if read else []
    return "\n".join([*certain, f"{_UNCHECKED}\n{kept}" if kept else _NOTHING_KEPT])


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque(
        "code/explain", partial(explain, deps), deps=deps, input_type=ExplainInput, output_type=ExplainAnswer, form=draft_form
    )


SPEC = ChainSpec(
    name="code/explain",
    title="Explain code",
    description="Code in, what it does out, in plain words.",
    input=ExplainInput,
    output=ExplainAnswer,
    answer=ExplainOutput,
    scope=Scope.CODE_INVOKE,
    build=build,
    prompts=(PROMPT,),
    example={"code": "def add(a, b):\n    return a + b", "language": "python"},
)
