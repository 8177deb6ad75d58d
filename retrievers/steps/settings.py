"""Which optional steps a collection's searches take, as its settings say. A step that is not there is not taken."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from core.tables import Collection

log = structlog.get_logger()

#: Where they stand in a collection's settings.
SETTING = "retrieval"

Alias = Annotated[
    str | None,
    Field(max_length=128, description="the alias of the model; empty: the one of the question, or the default"),
]


class StepSettings(BaseModel):
    """Settings of one step; without any it is taken with these defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Feedback(StepSettings):
    """Search again with what the best passages of a first search say (pseudo-relevance feedback)."""

    passages: int = Field(5, ge=1, le=50, description="passages of the first search that are taken to be right")
    terms: int = Field(20, ge=0, le=64, description="words of theirs that are searched for beside the query's")


class MultiQuery(StepSettings):
    """Search as well for what the query is in other words, by the chat model."""

    queries: int = Field(3, ge=1, le=8, description="other wordings")
    model: Alias = None


class Decomposition(StepSettings):
    """Search as well for each of the questions that a question is made of, by the chat model."""

    questions: int = Field(4, ge=2, le=8, description="questions at most")
    model: Alias = None


class HyDE(StepSettings):
    """Compare meanings with a passage that would answer the query, which the chat model makes up (HyDE)."""

    model: Alias = None


class TimeDecay(StepSettings):
    """Let what is newer come first."""

    half_life_days: float = Field(180, gt=0, le=36_500, description="days after which half of the weight is left")
    attribute: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="attribute with the date (ISO 8601, or a year); where there is none: when the content came in or changed",
    )
    weight: float = Field(0.3, gt=0, le=1, description="the part of the score that goes by age")


class Rerank(StepSettings):
    """Have a model compare each passage with the query."""

    by: Literal["chat", "cross_encoder", "provider"] = Field(
        "chat",
        description="chat: the chat model as a judge · cross_encoder: the model in `GENAI_RETRIEVAL__CROSS_ENCODER` · "
        "provider: an alias of the kind `rerank`",
    )
    candidates: int = Field(20, ge=2, le=100, description="passages that it sees")
    weight: float = Field(0.8, gt=0, le=1, description="what its judgement weighs, beside the search's own score")
    model: Alias = None

    @model_validator(mode="after")
    def _model_fits(self) -> "Rerank":
        if self.by == "provider" and self.model is None:
            raise ValueError("rerank.model: by `provider` needs the alias of a model of the kind `rerank`")
        if self.by == "cross_encoder" and self.model is not None:
            raise ValueError("rerank.model: the cross-encoder is the operator's to set, and has no alias")
        return self


class Diversity(StepSettings):
    """Leave out what says the same again (maximal marginal relevance)."""

    relevance: float = Field(0.9, ge=0, le=1, description="1: relevance alone; 0: as different as possible")
    candidates: int = Field(40, ge=2, le=200, description="passages that are chosen from")


class Expansion(StepSettings):
    """Give each passage with what stands round it in its document."""

    unit: Literal["neighbours", "section"] = Field(
        "neighbours", description="neighbours: the chunks before and behind · section: all that stands under the same heading"
    )
    before: int = Field(1, ge=0, le=5, description="chunks before it")
    after: int = Field(1, ge=0, le=5, description="chunks behind it")
    most_chunks: int = Field(6, ge=2, le=20, description="chunks of a section at most, the passage's own among them")


class Compression(StepSettings):
    """Put only the sentences that matter into the prompt of an answer."""

    tokens: int = Field(1500, ge=64, le=200_000, description="tokens that the passages may take there together")


class RetrievalSteps(BaseModel):
    """The optional steps of a collection's searches; null or left out: it is not taken, `{}`: with its defaults."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"feedback": {}, "mmr": {"relevance": 0.7}, "expansion": {"before": 1, "after": 1}}]},
    )

    multi_query: MultiQuery | None = None
    decomposition: Decomposition | None = None
    hyde: HyDE | None = None
    feedback: Feedback | None = None
    time_decay: TimeDecay | None = None
    rerank: Rerank | None = None
    mmr: Diversity | None = None
    expansion: Expansion | None = None
    compression: Compression | None = None

    def stored(self) -> dict[str, Any]:
        """As it is kept in the collection's settings."""
        return self.model_dump(exclude_none=True)

    def models(self) -> dict[str, tuple[str, str]]:
        """The aliases that it names, by the field that does, each with the kind of model that it has to be of."""
        steps = {"multi_query": self.multi_query, "decomposition": self.decomposition, "hyde": self.hyde, "rerank": self.rerank}
        kind = "rerank" if self.rerank is not None and self.rerank.by == "provider" else "chat"
        return {
            f"{SETTING}.{name}.model": (step.model, kind if name == "rerank" else "chat")
            for name, step in steps.items()
            if step is not None and step.model is not None
        }


def steps_of(collection: "Collection") -> RetrievalSteps:
    """What a collection's settings say; no steps where nothing does, or where they are of another version."""
    try:
        return RetrievalSteps.model_validate(collection.settings.get(SETTING) or {})
    except ValidationError as error:
        log.warning("retrieval.settings_unreadable", collection_id=collection.id, problems=error.error_count())
        return RetrievalSteps()
