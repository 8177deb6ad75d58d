"""`code/fix`: code with a fault in, code without it out."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from chains.code import parsing
from chains.code.inputs import CodeInput
from chains.code.keeping import lost
from chains.code.writing import (
    AGAIN_PROMPT,
    REPAIR_PROMPT,
    CodeAnswer,
    CodeOutput,
    Task,
    draft_form,
    is_told,
    language_of,
    write,
)
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

PROMPT = "code/fix.txt"


class FixInput(CodeInput):
    """Code, and what is wrong with it."""


async def fix(deps: ChainDeps, asked: FixInput) -> AsyncIterator[Delta]:
    """Repair code. What the parser finds wrong is told to the model beside the caller's own words."""
    language = await language_of(asked)
    judged = await parsing.syntax(asked.code, language)
    faults = [asked.instruction] if asked.instruction else []
    faults += [f"Line {problem.line}: {problem.message}." for problem in judged.problems if judged.valid is False]
    values = {"language": language, "code": asked.code, "faults": " ".join(faults) or "It does not work as it should."}

    async def fault(code: str) -> str | None:
        return await asyncio.to_thread(lost, asked.code, code, told=bool(asked.instruction))

    async for delta in write(deps, asked, Task(PROMPT, values, language, told=is_told(asked, language), fault=fault)):
        yield delta


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque("code/fix", partial(fix, deps), deps=deps, input_type=FixInput, output_type=CodeAnswer, form=draft_form)


SPEC = ChainSpec(
    name="code/fix",
    title="Fix code",
    description="Code with a fault in, code without it out. What a parser finds is told to the model.",
    input=FixInput,
    output=CodeAnswer,
    answer=CodeOutput,
    scope=Scope.CODE_INVOKE,
    build=build,
    prompts=(PROMPT, REPAIR_PROMPT, AGAIN_PROMPT),
    example={"code": "def add(a, b)\n    return a + b", "language": "python"},
)
