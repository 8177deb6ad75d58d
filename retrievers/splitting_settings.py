"""How a collection's documents are split, where it is otherwise than by the platform's settings."""

from typing import TYPE_CHECKING, Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from core.sections import RetrievalSettings
    from core.tables import Collection

log = structlog.get_logger()

#: Its place in a collection's settings.
SETTING = "splitting"


class Splitting(BaseModel):
    """How documents are split. What is left out is as the platform's settings have it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"tokens": 120, "overlap": 0, "by": "structure"}]}
    )

    tokens: int | None = Field(
        None, ge=32, le=2048, description="tokens of a passage with its headings, as the embedding model counts"
    )
    overlap: int | None = Field(None, ge=0, le=1024, description="tokens that a passage repeats of the one before")
    by: Literal["structure", "size"] = Field(
        "structure",
        description="structure: a passage is of one section (heading, function, table) · size: sections of a page are put "
        "together while they fit",
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> "Splitting":
        if self.tokens is not None and self.overlap is not None and self.overlap >= self.tokens:
            raise ValueError("overlap must be smaller than tokens")
        return self

    def stored(self) -> dict[str, Any]:
        """As it is kept in the collection's settings."""
        return self.model_dump(exclude_defaults=True)

    def sizes(self, defaults: "RetrievalSettings") -> tuple[int, int]:
        """Tokens of a passage, and those that it repeats: never more than half of it."""
        tokens = self.tokens or defaults.chunk_tokens
        overlap = defaults.chunk_overlap_tokens if self.overlap is None else self.overlap
        return tokens, min(overlap, tokens // 2)


def splitting_of(collection: "Collection | None") -> Splitting:
    """What a collection's settings say; the platform's own where nothing does, or where they are of another version."""
    if collection is None:
        return Splitting()
    try:
        return Splitting.model_validate(collection.settings.get(SETTING) or {})
    except ValidationError as error:
        log.warning("splitting.settings_unreadable", collection_id=collection.id, problems=error.error_count())
        return Splitting()
