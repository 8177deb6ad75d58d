"""Index generations: where a collection's vectors are, were, and are being brought."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from core.tables.columns import created_now, identifier, json_object_or_none, moment


class GenerationState(StrEnum):
    """`active` answers questions; `filling` is being brought up to it; `kept` was active and can be again; `dropping` goes."""

    ACTIVE = "active"
    FILLING = "filling"
    KEPT = "kept"
    DROPPING = "dropping"


def _one_of(state: GenerationState) -> Index:
    only = text(f"state = '{state.value}'")
    name = f"ux_index_generations_{state.value}"
    return Index(name, "collection_id", unique=True, sqlite_where=only, postgresql_where=only)


class IndexGeneration(SQLModel, table=True):
    """The vectors of a collection, made by one embedding model, on one shelf of one store. A collection's name stands for the
    one that is active.

    `embeddings` is the alias that made them, `model` what was behind it. `origin_store` and `origin_model` are
    of the generation that the chunks were made for: those that are copied from it are of the same pipeline (see
    `retrievers.indexing`).
    `number` is the collection's number of changes that this generation has come to; `cursor` how far the copying has come,
    which `copied` ends. `done` of `total` chunks are there. `lease` is of the worker that works on it.
    `fusion` is how the legs of a search are fused, and what that was found by (`retrievers.fusion_checks`), None before the
    first check; `fusion_number` the collection's number of changes when it was last looked whether one is due.
    """

    __tablename__ = "index_generations"
    __table_args__ = (_one_of(GenerationState.ACTIVE), _one_of(GenerationState.FILLING))

    id: str = identifier("gen")
    tenant: str = Field(max_length=64)
    collection_id: str = Field(foreign_key="collections.id", ondelete="CASCADE", max_length=64, index=True)
    state: str = Field(max_length=16, index=True)
    store: str = Field(max_length=64)
    embeddings: str = Field(max_length=128)
    model: str = Field(max_length=256)
    shelf: str = Field(max_length=128)
    origin_store: str = Field(max_length=64)
    origin_model: str = Field(max_length=256)
    source_id: str | None = Field(default=None, max_length=64)
    number: int = Field(default=0, sa_type=BigInteger)
    cursor: str = Field(default="", max_length=256)
    copied: bool = False
    done: int = 0
    total: int = 0
    attempts: int = Field(default=0, description="tries since it last came further, counted before the work")
    keep_s: float = Field(default=0, description="seconds that what it takes the place of is kept")
    kept_until: datetime | None = moment()
    job_id: str | None = Field(default=None, max_length=64, index=True)
    created_at: datetime = created_now()
    switched_at: datetime | None = moment()
    fusion: dict[str, Any] | None = json_object_or_none()
    fusion_number: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    lease: str | None = Field(default=None, max_length=32)
    leased_until: datetime | None = moment()
