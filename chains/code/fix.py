"""`code/fix`: code with a fault in, code without it out."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from pydantic import BaseModel, Field

from chains.code import parsing
from chains.code.changes import Change, changes, told
from chains.code.inputs import CodeInput
from chains.code.keeping import lost
from chains.code.writing import (
    AGAIN_PROMPT,
    REPAIR_PROMPT,
    CodeResult,
    Task,
    draft_form,
    is_told,
    language_of,
    write,
)
from chains.forms import Accounted
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

PROMPT = "code/fix.txt"


class FixInput(CodeInput):
    """Code, and what is wrong with it."""


class FixResult(CodeResult):
    """Code that was repaired."""

    changes: list[Change] | None = Field(
        default=None, description="what became what, as comparing both tells; null where the code is too long to be compared"
    )


class FixOutput(BaseModel):
    """The capability's own fields of the answer."""

    output: FixResult


class FixAnswer(FixOutput, Accounted):
    """Repaired code, and what it took."""


async def fix(deps: ChainDeps, asked: FixInput) -> AsyncIterator[Delta]:
    """Repair code. What the parser finds wrong is told to the model beside the caller's own words. What a small model says of
    its work is often wrong: the changes themselves are told in its place."""
    language = await language_of(asked)
    judged = await parsing.syntax(asked.code, language)
    found = [f"Line {problem.line}: {problem.message}." for problem in judged.problems if judged.valid is False]
    faults = [asked.instruction, *found] if asked.instruction else found
    values = {"language": language, "code": asked.code, "faults": " ".join(faults) or "It does not work as it should."}

    async def fault(code: str) -> str | None:
        return await asyncio.to_thread(lost, asked.code, code, told=bool(asked.instruction))

    async for delta in write(deps, asked, Task(PROMPT, values, language, told=is_told(asked, language), fault=fault)):
        if delta.final is None:
            yield delta
            continue
        result: CodeResult = delta.final["output"]
        changed = await asyncio.to_thread(changes, asked.code, result.code) if result.code else None
        fixed = FixResult(**dict(result), changes=changed)
        if changed is not None and deps.models.facts(asked.model).small:
            fixed.explanation = " ".join([*found, told(changed)])
        yield Delta(final={"output": fixed})


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque("code/fix", partial(fix, deps), deps=deps, input_type=FixInput, output_type=FixAnswer, form=draft_form)


SPEC = ChainSpec(
    name="code/fix",
    title="Fix code",
    description="Code with a fault in, code without it out. What a parser finds is told to the model.",
    input=FixInput,
    output=FixAnswer,
    answer=FixOutput,
    scope=Scope.CODE_INVOKE,
    build=build,
    prompts=(PROMPT, REPAIR_PROMPT, AGAIN_PROMPT),
    example={"code": "def add(a, b)\n    return a + b", "language": "python"},
)
