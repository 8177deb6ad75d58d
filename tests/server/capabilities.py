"""Capabilities under test: the real chat, completion and code chains on a scripted model, and one that finds passages."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, cast

from pydantic import BaseModel, Field

from chains import CHAINS
from chains.forms import Accounted
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope
from core.settings import Settings
from tests.chains.fakes import ScriptedModels

PROMPT_CANARY = "planted-prompt-4711"
PASSAGE_CANARY = "planted-passage-4712"
NAMES = ("chat", "completion", *(name for name in CHAINS if name.startswith("code/")))


class Asked(BaseModel):
    question: str = Field(min_length=1)
    collection: str = "handbook"
    files: list[str] | None = Field(None, json_schema_extra={"extra": {"widget": {"type": "base64file"}}})


class Fields(BaseModel):
    output: str
    citations: list[dict[str, Any]]


class Answer(Fields, Accounted):
    pass


async def find(deps: ChainDeps, asked: Asked) -> AsyncIterator[Delta]:
    """Like RAG: a prompt of its own, a passage that stays inside, citations in the answer."""
    text = ""
    model = cast("Any", deps.models).chat()
    async for chunk in model.astream([("system", f"{PROMPT_CANARY} {PASSAGE_CANARY}"), ("user", asked.question)]):
        text += chunk.text
        yield Delta(text=chunk.text)
    citations = [{"document": "a.md", "document_id": "doc_1", "page": None, "start": 0, "end": 4, "quote": "text"}]
    yield Delta(data={"citations": citations})
    yield Delta(final={"output": text, "citations": citations})


FIND = ChainSpec(
    name="rag",
    title="Find",
    description="Finds.",
    input=Asked,
    output=Answer,
    answer=Fields,
    scope=Scope.RAG_READ,
    build=lambda deps: opaque("rag", partial(find, deps), input_type=Asked, output_type=Answer),
    example={"question": "Which port?", "collection": "handbook"},
)


def built(
    settings: Settings, models: ScriptedModels, conversations: Any = None, *, only: tuple[str, ...] = NAMES
) -> dict[str, tuple[ChainSpec, OpaqueRoot]]:
    """The capabilities with their runnables, as `server.langserve_routes.register` takes them."""
    deps = ChainDeps(settings, cast("Any", models), cast("Any", None), conversations)
    specs = {name: cast("ChainSpec", CHAINS.load(name)) for name in only} | {"rag": FIND}
    return {name: (spec, spec.build(deps)) for name, spec in specs.items()}
