"""`code/tests`: code in, tests for it out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from chains.code import parsing
from chains.code.assertions import missing_tests
from chains.code.inputs import CodeInput
from chains.code.writing import (
    AGAIN_PROMPT,
    REPAIR_PROMPT,
    CodeAnswer,
    CodeOutput,
    CodeResult,
    Task,
    draft_form,
    is_told,
    language_of,
    write,
)
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

PROMPT = "code/tests.txt"
#: Names that a complaint tells at most.
_MOST_NAMED = 3
_FRAMEWORKS = {
    "python": "pytest",
    "javascript": "Jest",
    "typescript": "Jest",
    "java": "JUnit 5",
    "kotlin": "JUnit 5",
    "go": "Go's testing package",
    "rust": "Rust's built-in tests",
    "csharp": "xUnit",
    "ruby": "Minitest",
    "php": "PHPUnit",
    "cpp": "GoogleTest",
}

_UNRUN = "Nobody has run these tests: check what they expect."


class TestsInput(CodeInput):
    """Code that has no tests yet."""


async def _fault(source: str, language: str, code: str) -> str | None:
    """Why code is no test of the source; None where it seems to be one."""
    if found := await asyncio.to_thread(missing_tests, source, language, code):
        return found
    if names := await parsing.unused(source, code, language):
        return f"nothing of the code is called: {_listed(names)}"
    return await parsing.mismatch(source, code, language)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:_MOST_NAMED])


async def tests(deps: ChainDeps, asked: TestsInput) -> AsyncIterator[Delta]:
    """Write tests, in the framework that is usual for the language. What they define again of the code is taken out, so that
    they run on the code that was given. What a small model says of its tests is often wrong, and so is what they expect: that
    nobody has run them is said in its place."""
    language = await language_of(asked)
    judged = await parsing.syntax(asked.code, language)
    values = {
        "language": language,
        "code": asked.code,
        "framework": _FRAMEWORKS.get(language, "the language's usual test framework"),
        "instruction": f" {asked.instruction}" if asked.instruction else "",
    }
    #: What was taken out of which tests.
    doubles: dict[str, list[str]] = {}

    async def tidied(code: str) -> str:
        tests, names = await parsing.without_doubles(asked.code, code, language)
        if not tests.strip():
            return code
        doubles[tests] = names
        return tests

    task = Task(
        PROMPT,
        values,
        language,
        told=is_told(asked, language),
        fault=partial(_fault, asked.code, language),
        tidied=tidied,
    )
    async for delta in write(deps, asked, task):
        if delta.final is None:
            yield delta
            continue
        result: CodeResult = delta.final["output"]
        said = []
        if judged.valid is False:
            first = judged.problems[0]
            said.append(
                f"The code that was given does not parse (line {first.line}: {first.message}): no test of it can run yet."
            )
        if names := doubles.get(result.code):
            said.append(f"The model had written {_listed(names)} anew; that was taken out, so that the given code is tested.")
        said.append(_UNRUN if deps.models.facts(asked.model).small else result.explanation)
        yield Delta(final={"output": result.model_copy(update={"explanation": " ".join(one for one in said if one)})})


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque("code/tests", partial(tests, deps), deps=deps, input_type=TestsInput, output_type=CodeAnswer, form=draft_form)


SPEC = ChainSpec(
    name="code/tests",
    title="Write tests",
    description="Code in, tests for it out, in the framework that is usual for its language.",
    input=TestsInput,
    output=CodeAnswer,
    answer=CodeOutput,
    scope=Scope.CODE_INVOKE,
    build=build,
    prompts=(PROMPT, REPAIR_PROMPT, AGAIN_PROMPT),
    # one that the bundled model writes right tests for, which tests/e2e/test_examples.py runs
    example={"code": 'def greet(name):\n    return f"Hello, {name}!"', "language": "python"},
)
