"""`code/tests`: code in, tests for it out."""

import asyncio
from collections.abc import AsyncIterator
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
    names = await parsing.unused(source, code, language)
    return f"nothing of the code is called: {', '.join(f'`{name}`' for name in names[:_MOST_NAMED])}" if names else None


async def tests(deps: ChainDeps, asked: TestsInput) -> AsyncIterator[Delta]:
    """Write tests, in the framework that is usual for the language. A small model is often wrong about what code returns: the
    answer says that nobody has run them."""
    language = await language_of(asked)
    values = {
        "language": language,
        "code": asked.code,
        "framework": _FRAMEWORKS.get(language, "the language's usual test framework"),
        "instruction": f" {asked.instruction}" if asked.instruction else "",
    }
    fault = partial(_fault, asked.code, language)
    async for delta in write(deps, asked, Task(PROMPT, values, language, told=is_told(asked, language), fault=fault)):
        if delta.final is None or not deps.models.facts(asked.model).small:
            yield delta
            continue
        result: CodeResult = delta.final["output"]
        explained = f"{result.explanation} {_UNRUN}" if result.explanation else _UNRUN
        yield Delta(final={"output": result.model_copy(update={"explanation": explained})})


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
