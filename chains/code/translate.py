"""`code/translate`: code in one language in, the same in another out."""

from collections.abc import AsyncIterator
from functools import partial

from pydantic import Field

from chains.code.inputs import CodeInput, Language
from chains.code.spellings import canonical
from chains.code.writing import AGAIN_PROMPT, REPAIR_PROMPT, CodeAnswer, CodeOutput, Task, draft_form, language_of, write
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

PROMPT = "code/translate.txt"


class TranslateInput(CodeInput):
    """Code, and the language that it is to be in."""

    target_language: Language = Field(description="the language to translate to")


async def translate(deps: ChainDeps, asked: TranslateInput) -> AsyncIterator[Delta]:
    """Translate code."""
    target = canonical(asked.target_language)
    values = {
        "language": await language_of(asked),
        "target": target,
        "code": asked.code,
        "instruction": f" {asked.instruction}" if asked.instruction else "",
    }
    async for delta in write(deps, asked, Task(PROMPT, values, target)):
        yield delta


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque(
        "code/translate",
        partial(translate, deps),
        deps=deps,
        input_type=TranslateInput,
        output_type=CodeAnswer,
        form=draft_form,
    )


SPEC = ChainSpec(
    name="code/translate",
    title="Translate code",
    description="Code in one language in, the same in another out.",
    input=TranslateInput,
    output=CodeAnswer,
    answer=CodeOutput,
    scope=Scope.CODE_INVOKE,
    build=build,
    prompts=(PROMPT, REPAIR_PROMPT, AGAIN_PROMPT),
    example={"code": "def add(a, b):\n    return a + b", "language": "python", "target_language": "javascript"},
)
