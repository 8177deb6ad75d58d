"""`code/review`: code in, findings with line, severity and message out."""

from collections.abc import AsyncIterator
from functools import partial

from pydantic import BaseModel

from chains.code.findings import Review, from_parser, from_text, plausible, summary, without_echoes
from chains.code.inputs import CodeInput
from chains.code.writing import draft_form, language_of, messages, stream_text
from chains.forms import Accounted
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

PROMPT = "code/review.txt"


class ReviewInput(CodeInput):
    """Code to be reviewed."""


class ReviewOutput(BaseModel):
    """The capability's own fields of the answer."""

    output: Review


class ReviewAnswer(ReviewOutput, Accounted):
    """A review, and what it took."""


async def review(deps: ChainDeps, asked: ReviewInput) -> AsyncIterator[Delta]:
    """Review code: what can be seen in it, and the model's findings on other lines. A small model's are held against the code,
    and its words, which are rarely about it, are replaced by a count."""
    language = await language_of(asked)
    certain, valid = await from_parser(asked.code, language)
    lines = asked.code.splitlines()
    values = {
        "language": language,
        "code": "\n".join(f"{number}: {line}" for number, line in enumerate(lines, start=1)),
        "instruction": f" {asked.instruction}" if asked.instruction else "",
    }
    text = ""
    async for piece in stream_text(deps, asked, messages(PROMPT, values)):
        text += piece
        yield Delta(text=piece)
    said, words = from_text(text, len(lines))
    opinions = without_echoes(said, asked.code)
    small = deps.models.facts(asked.model).small
    if small:
        opinions = await plausible(opinions, asked.code, language)
    taken = {finding.line for finding in certain}
    findings = sorted([*certain, *(one for one in opinions if one.line not in taken)], key=lambda one: one.line)
    if small:
        words = summary(findings)
    yield Delta(final={"output": Review(language=language, findings=findings, summary=words, valid=valid)})


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque(
        "code/review", partial(review, deps), deps=deps, input_type=ReviewInput, output_type=ReviewAnswer, form=draft_form
    )


SPEC = ChainSpec(
    name="code/review",
    title="Review code",
    description="Code in, findings out: line, severity, message, and whether a parser or the model says so.",
    input=ReviewInput,
    output=ReviewAnswer,
    answer=ReviewOutput,
    scope=Scope.CODE_INVOKE,
    build=build,
    prompts=(PROMPT,),
    example={"code": "def average(values):\n    return sum(values) / len(values)", "language": "python"},
)
