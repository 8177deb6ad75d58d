"""The `completion` capability: a text in, its continuation out."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, cast

from pydantic import BaseModel, Field, StringConstraints

from chains.forms import TextForm
from chains.parameters import Sampling, call_parameters
from chains.replies import finish_of
from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.principals import Scope

DEFAULT_MAX_TOKENS = 256


class CompletionInput(Sampling):
    """A text, and how to continue it."""

    prompt: Annotated[str, StringConstraints(min_length=1, strict=True)] = Field(description="the text to continue")
    suffix: str | None = Field(
        None, min_length=1, description="what comes after the gap; for models that fill in the middle, an error for others"
    )
    max_tokens: int | None = Field(DEFAULT_MAX_TOKENS, ge=1, le=1_000_000, description="tokens of the continuation at most")


class CompletionOutput(BaseModel):
    """The capability's own fields of the flat answer."""

    output: str = Field(description="the continuation, without the prompt")


async def complete(deps: ChainDeps, asked: CompletionInput) -> AsyncIterator[Delta]:
    """Continue the text."""
    values = call_parameters(asked) | asked.model_dump(include={"prompt", "suffix"}, exclude_none=True)
    texts: list[str] = []
    metadata: dict[str, Any] = {}
    async with aclosing(cast("Any", deps.models.completion(asked.model)).chunks(values)) as chunks:
        async for chunk in chunks:
            metadata |= chunk.generation_info or {}
            metadata |= chunk.message.response_metadata
            if chunk.text:
                texts.append(chunk.text)
                yield Delta(text=chunk.text)
    yield Delta(data={"finish_reason": finish_of(metadata)}, final="".join(texts))


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque("completion", partial(complete, deps), deps=deps, input_type=CompletionInput, output_type=str, form=TextForm)


SPEC = ChainSpec(
    name="completion",
    title="Completion",
    description="A text in, its continuation out.",
    input=CompletionInput,
    output=str,
    answer=CompletionOutput,
    scope=Scope.COMPLETION_INVOKE,
    build=build,
    example={"prompt": "Water boils at", "max_tokens": 48},
)
