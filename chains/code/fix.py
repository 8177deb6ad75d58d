"""`code/fix`: code with a fault in, code without it out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from pydantic import BaseModel, Field

from chains.code import parsing, syntax
from chains.code.changes import Change, changes, places_blocks, told
from chains.code.inputs import CodeInput
from chains.code.keeping import lost, rewritten
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
_NOTHING_WRONG = (
    "Nothing was found wrong: it parses, and nothing else that can be seen without running it is. "
    "Say in `instruction` what it should do and does not."
)
_BLOCKS_PLACED = "Where a block ends was read from the lines round it: check that it is meant so."


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
    """Repair code. What the parser finds wrong is told to the model beside the caller's own words. A small model is not asked
    for what can be done without one, nor where nothing is known to be wrong; and what it says of its work is often wrong: the
    changes themselves are told in its place. What is no repair is not passed on: the code then comes back as it was."""
    language = await language_of(asked)
    judged = await parsing.syntax(asked.code, language)
    found = [f"Line {one.line}: {one.message.rstrip('.?')}." for one in judged.problems if judged.valid is False]
    small = deps.models.facts(asked.model).small
    if small and not asked.instruction:
        if (mended := await parsing.mended(asked.code, language)) is not None:
            changed = await asyncio.to_thread(changes, asked.code, mended)
            placed = [_BLOCKS_PLACED] if changed and places_blocks(changed) else []
            yield Delta(final={"output": _told(_as_it_is(mended, language, changed), found, placed)})
            return
        if judged.valid:
            found = [
                f"Line {line}: {said}"
                for line, severity, said in await parsing.faults(asked.code, language)
                if severity != "info"
            ]
            if not found:
                yield Delta(final={"output": _as_it_is(asked.code, language, [], _NOTHING_WRONG)})
                return
    faults = [asked.instruction, *found] if asked.instruction else found
    values = {"language": language, "code": asked.code, "faults": " ".join(faults) or "It does not work as it should."}

    async def fault(code: str) -> str | None:
        gone = await asyncio.to_thread(lost, asked.code, code, told=asked.instruction)
        if not gone and not asked.instruction and (small or judged.valid is False):
            gone = await asyncio.to_thread(rewritten, asked.code, code)
        return gone or (await parsing.made_up(asked.code, code) if language == "python" else None)

    async for delta in write(deps, asked, Task(PROMPT, values, language, told=is_told(asked, language), fault=fault)):
        if delta.final is None:
            yield delta
            continue
        result: CodeResult = delta.final["output"]
        if result.valid is False and (small or not asked.instruction):
            yield Delta(final={"output": _given_back(asked.code, language, judged, found, result)})
            return
        changed = await asyncio.to_thread(changes, asked.code, result.code) if result.code else None
        fixed = FixResult(**dict(result), changes=changed)
        yield Delta(final={"output": _told(fixed, found) if small else fixed})


def _as_it_is(code: str, language: str, changed: list[Change] | None, explanation: str = "") -> FixResult:
    """Code that parses, by no model."""
    return FixResult(code=code, language=language, explanation=explanation, valid=True, changes=changed)


def _given_back(code: str, language: str, judged: parsing.Syntax, found: Sequence[str], result: CodeResult) -> FixResult:
    """The code as it was, with what is wrong with it and why nothing was made of it."""
    said = result.problems[0].message if result.problems else "the model wrote no code"
    problems = (
        list(judged.problems) if judged.valid is False else [syntax.Problem(line=1, message=f"it was not repaired: {said}")]
    )
    explanation = " ".join([*found, f"What the model made of it was not taken ({said}): this is the code as it was given."])
    return FixResult(code=code, language=language, explanation=explanation, valid=False, problems=problems, changes=[])


def _told(fixed: FixResult, found: Sequence[str], remarks: Sequence[str] = ()) -> FixResult:
    """With what was wrong and what was changed as its explanation, where that could be compared."""
    if fixed.changes is None:
        return fixed
    return fixed.model_copy(update={"explanation": " ".join([*found, told(fixed.changes), *remarks])})


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
