"""Personal data: found in texts, taken out, put back. Nothing of a text is kept or logged."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from chains.pii import MAPPING, TYPES, FoundEntity, Mapping, ReplacedEntity, Types, check_length, found, of_types
from core.principals import Principal, Scope
from core.redaction.entities import Entity
from core.redaction.replacement import Pseudonyms, redacted
from server.auth import requires
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/pii", tags=["Personal data"])

Reader = Annotated[Principal, requires(Scope.PII_READ)]
MAX_TEXTS = 1000
_EXAMPLE = "Please call Maria Schmidt at +49 30 901820."


class Texts(BaseModel):
    """One text or several."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": _EXAMPLE}]})

    text: str | None = None
    texts: list[str] | None = Field(None, min_length=1, max_length=MAX_TEXTS, description="several, in place of `text`")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Texts":
        if (self.text is None) == (self.texts is None):
            raise ValueError("give text or texts, one of both")
        return self

    @property
    def all(self) -> list[str]:
        """The texts."""
        return [self.text] if self.text is not None else list(self.texts or ())


class DetectRequest(Texts):
    """Where to look, and for what."""

    types: Types | None = Field(None, description=TYPES)


class RedactRequest(DetectRequest):
    """Where to look, and what to do with what is found."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": _EXAMPLE, "mode": "pseudonymise"}]})

    mode: Literal["redact", "pseudonymise"] = Field(
        "redact", description="its type in its place (`<PERSON>`), or a pseudonym that leads back (`<PERSON_1>`)"
    )
    mapping: Mapping | None = Field(None, description=MAPPING)


class RestoreRequest(Texts):
    """Texts with pseudonyms."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "I called <PERSON_1>.", "mapping": {"<PERSON_1>": "Maria Schmidt"}}]},
    )

    mapping: Mapping = Field(description="the pseudonyms and what stands behind them")


class Detected(BaseModel):
    """What a text holds, in its order; no two overlap."""

    entities: list[FoundEntity]


class DetectResults(BaseModel):
    """One result a text, in the order of the texts."""

    results: list[Detected]


class Redacted(BaseModel):
    """The text without its personal data."""

    text: str
    entities: list[ReplacedEntity]


class RedactResults(BaseModel):
    """One result a text, in the order of the texts."""

    results: list[Redacted]
    mapping: dict[str, str] | None = Field(
        description="with `pseudonymise`: all pseudonyms and what stands behind them, for the next call and for putting back"
    )


class Restored(BaseModel):
    """The text with the values back."""

    text: str


class RestoreResults(BaseModel):
    """One result a text, in the order of the texts."""

    results: list[Restored]


@router.post("/detect")
async def detect(asked: DetectRequest, state: CurrentState, _principal: Reader) -> DetectResults:
    """Find personal data."""
    results = await _detected(state, asked)
    return DetectResults.model_validate({"results": [{"entities": [found(one) for one in each]} for each in results]})


@router.post("/redact")
async def redact(asked: RedactRequest, state: CurrentState, _principal: Reader) -> RedactResults:
    """Take personal data out."""
    pseudonyms = Pseudonyms(asked.mapping)
    replace = redacted if asked.mode == "redact" else pseudonyms.replace
    results: list[dict[str, Any]] = []
    for text, entities in zip(asked.all, await _detected(state, asked), strict=True):
        without, replacements = replace(text, entities)
        told = [found(one) | {"replacement": by} for one, by in zip(entities, replacements, strict=True)]
        results.append({"text": without, "entities": told})
    mapping = pseudonyms.mapping if asked.mode == "pseudonymise" else None
    return RedactResults.model_validate({"results": results, "mapping": mapping})


@router.post("/restore")
async def restore(asked: RestoreRequest, state: CurrentState, _principal: Reader) -> RestoreResults:
    """Put the values back for their pseudonyms."""
    check_length(asked.all, state.settings.privacy.max_characters)
    pseudonyms = Pseudonyms(asked.mapping)
    return RestoreResults(results=[Restored(text=pseudonyms.restore(text)) for text in asked.all])


async def _detected(state: State, asked: DetectRequest) -> list[list[Entity]]:
    check_length(asked.all, state.settings.privacy.max_characters)
    return [of_types(each, asked.types) for each in await state.analyser.adetect(asked.all)]
