"""`code/explain`: code in, what it does out."""

from collections.abc import AsyncIterator
from functools import partial

from pydantic import BaseModel, Field

from chains.code import parsing
from chains.code.inputs import CodeInput
from chains.code.outline import Definition
from chains.code.writing import draft_form, language_of, messages, stream_text
from chains.forms import Accounted
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

PROMPT = "code/explain.txt"


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
    """Explain code."""
    language = await language_of(asked)
    values = {"language": language, "code": asked.code, "instruction": f" {asked.instruction}" if asked.instruction else ""}
    text = ""
    async for piece in stream_text(deps, asked, messages(PROMPT, values)):
        text += piece
        yield Delta(text=piece)
    defined = await parsing.outline(asked.code, language)
    yield Delta(final={"output": Explanation(language=language, outline=defined, explanation=text.strip())})


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
