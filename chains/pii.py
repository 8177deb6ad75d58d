"""The `pii` capability: a text in, the personal data in it and the text without it out. No model provider is asked."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chains.root import OpaqueRoot, opaque
from chains.spec import ChainDeps, ChainSpec, Delta
from core.errors import TooLarge
from core.principals import Scope
from core.redaction.entities import Entity, PIIType
from core.redaction.replacement import Pseudonyms, redacted

Value = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
Mapping = Annotated[dict[str, Value], Field(max_length=10_000)]
Types = Annotated[list[PIIType], Field(min_length=1)]
#: Descriptions of fields that the routes have as well.
TYPES = "look for these types alone; empty: all"
MAPPING = "pseudonyms and their values as an earlier answer gave them: the same value keeps its pseudonym"


class PIIInput(BaseModel):
    """A text, and what to do with the personal data in it."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(strict=True)] = Field(description="the text")
    mode: Literal["detect", "redact", "pseudonymise"] = Field(
        "redact", description="tell what there is, put its type in its place, or a pseudonym that leads back"
    )
    types: Types | None = Field(None, description=TYPES)
    mapping: Mapping | None = Field(None, description=MAPPING)


class FoundEntity(BaseModel):
    """Personal data. It is the text's `[start:end]`, in characters."""

    type: PIIType
    start: int
    end: int
    score: float = Field(description="how sure the finding is, 0 to 1")


class ReplacedEntity(FoundEntity):
    """Where it was in the text that was sent, and what stands there now."""

    replacement: str


class PIIOutput(BaseModel):
    """The capability's own fields of the flat answer."""

    output: str = Field(description="the text; by `mode` without its personal data")
    entities: list[FoundEntity | ReplacedEntity]
    mapping: dict[str, str] | None = Field(description="with `pseudonymise`: the pseudonyms and what stands behind them")


def found(entity: Entity) -> dict[str, Any]:
    """An entity as callers see it."""
    return {"type": entity.type.value, "start": entity.start, "end": entity.end, "score": entity.score}


def check_length(texts: list[str], most: int) -> None:
    """Refuse what takes too long.

    Raises:
        TooLarge: code `text_too_large`, the texts have more than `most` characters together.
    """
    if sum(map(len, texts)) > most:
        raise TooLarge(f"The texts of a request hold at most {most:,} characters together.", code="text_too_large")


def of_types(entities: list[Entity], types: list[PIIType] | None) -> list[Entity]:
    """Those of the types that were asked for; None asks for all."""
    return entities if types is None else [one for one in entities if one.type in types]


async def protect(deps: ChainDeps, asked: PIIInput) -> AsyncIterator[Delta]:
    """Find the personal data, and take it out."""
    check_length([asked.text], deps.settings.privacy.max_characters)
    pseudonyms = Pseudonyms(asked.mapping)
    [entities] = await deps.analyser.adetect([asked.text])
    entities = of_types(entities, asked.types)
    answer: dict[str, Any] = {"output": asked.text, "entities": [found(one) for one in entities], "mapping": None}
    if asked.mode != "detect":
        replace = redacted if asked.mode == "redact" else pseudonyms.replace
        answer["output"], replacements = replace(asked.text, entities)
        answer["entities"] = [
            found(one) | {"replacement": replacement} for one, replacement in zip(entities, replacements, strict=True)
        ]
        answer["mapping"] = pseudonyms.mapping if asked.mode == "pseudonymise" else None
    yield Delta(final=answer)


def build(deps: ChainDeps) -> OpaqueRoot:
    """The served runnable."""
    return opaque("pii", partial(protect, deps), deps=deps, input_type=PIIInput, output_type=PIIOutput)


SPEC = ChainSpec(
    name="pii",
    title="Personal data",
    description="A text in, the personal data in it found, taken out, or put behind pseudonyms.",
    input=PIIInput,
    output=PIIOutput,
    answer=PIIOutput,
    scope=Scope.PII_READ,
    build=build,
    example={"text": "Please call Maria Schmidt at +49 30 901820.", "mode": "redact"},
)
