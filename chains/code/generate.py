"""`code/generate`: an instruction in, code out."""

from collections.abc import AsyncIterator
from functools import partial

from pydantic import Field

from chains.code import parsing
from chains.code.inputs import Code, Instruction, Language
from chains.code.naming import named, named_to_write_in
from chains.code.spellings import canonical
from chains.code.writing import AGAIN_PROMPT, REPAIR_PROMPT, CodeAnswer, CodeOutput, Task, draft_form, write
from chains.parameters import ModelChoice
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

PROMPT = "code/generate.txt"
_DEFAULT = "python"


class GenerateInput(ModelChoice):
    """What the code is to do."""

    instruction: Instruction = Field(description="what the code is to do")
    language: Language | None = Field(
        None,
        description="the language to write in; empty: what the instruction says (`in Rust`), that of `code`, else what the "
        "instruction names, else python or what the model chose",
    )
    code: Code | None = Field(None, description="code that it is to fit to")


async def _language(asked: GenerateInput) -> str | None:
    """The language that is asked for; None where nothing tells, and any will do."""
    if asked.language:
        return canonical(asked.language)
    if written_in := named_to_write_in(asked.instruction):
        return written_in
    return (asked.code and await parsing.detect(asked.code)) or named(asked.instruction)


async def generate(deps: ChainDeps, asked: GenerateInput) -> AsyncIterator[Delta]:
    """Write code."""
    told = await _language(asked)
    language = told or _DEFAULT
    given = f"\n\nIt is to fit this code:\n```{language}\n{asked.code}\n```" if asked.code else ""
    values = {"language": language, "instruction": asked.instruction, "given": given}
    async for delta in write(deps, asked, Task(PROMPT, values, language, told=told is not None)):
        yield delta


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque(
        "code/generate", partial(generate, deps), deps=deps, input_type=GenerateInput, output_type=CodeAnswer, form=draft_form
    )


SPEC = ChainSpec(
    name="code/generate",
    title="Generate code",
    description="Instruction in, code out: parsed, repaired once where it does not parse, and `valid: false` if that fails.",
    input=GenerateInput,
    output=CodeAnswer,
    answer=CodeOutput,
    scope=Scope.CODE_INVOKE,
    build=build,
    prompts=(PROMPT, REPAIR_PROMPT, AGAIN_PROMPT),
    example={"instruction": "A function that adds two numbers", "language": "python"},
)
