"""Collections and their documents. The rows are the truth; vector store and lexical index follow them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_object, moment, required_moment


class DocumentState(StrEnum):
    """Where a document stands; `failed` keeps its reason in the row."""

    QUEUED = "queued"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


class Collection(SQLModel, table=True):
    """A named set of documents that are searched together. `settings` overrides retrieval defaults.

    It is its owner's (a principal's id; None: nobody's, of before there were owners) and whose it is shared with. One that is
    being deleted (`deleted_at`) has given its name away; the row goes once its content is gone. While it is paused
    (`paused_at`), what comes in waits.
    """

    __tablename__ = "collections"
    __table_args__ = (UniqueConstraint("tenant", "name"),)

    id: str = identifier("col")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64)
    owner: str | None = Field(default=None, max_length=64)
    name: str = Field(max_length=64)
    description: str = Field(default="", max_length=2000)
    settings: dict[str, Any] = json_object()
    created_at: datetime = created_now()
    updated_at: datetime = created_now()
    deleted_at: datetime | None = moment()
    paused_at: datetime | None = moment()


class ShareKind(StrEnum):
    """Whom a collection is shared with: a principal by its id, a team by its, a role by its name, or the whole tenant."""

    USER = "user"
    TEAM = "team"
    ROLE = "role"
    TENANT = "tenant"


class ShareAccess(StrEnum):
    """What a share lets do; who may write may read."""

    READ = "read"
    WRITE = "write"


class CollectionShare(SQLModel, table=True):
    """That a collection is shared. `subject` says with which user, team or role; it is empty for the tenant."""

    __tablename__ = "collection_shares"

    collection_id: str = Field(primary_key=True, foreign_key="collections.id", ondelete="CASCADE", max_length=64)
    kind: str = Field(primary_key=True, max_length=16)
    subject: str = Field(default="", primary_key=True, max_length=64)
    access: str = Field(default=ShareAccess.READ.value, max_length=16)
    created_at: datetime = created_now()


class Document(SQLModel, table=True):
    """One document of a collection, known by its name. New content under the name replaces the old.

    `revision` counts contents; a job works on the revision that it was given and leaves a newer one alone.
    `pipeline` fingerprints loader, splitter and embedding model: unchanged content under another pipeline is read again.
    `indexed_revision` is the revision whose chunks the stores hold; 0 for none. What they are is in the file store, under
    `chunks_key`; `chunks_digest` tells their identifiers from others, in whatever order (see `retrievers.chunk_ledger`).
    `change` is the collection's number of the last change of what is searchable; 0 where nothing ever was.
    `source_id` is of the source whose crawl has brought it in, None of what somebody has given; `source_mark` tells whether
    what is there is still the same (a time, an ETag), and is empty where that is to be looked at in any case.
    `content_at` is when its content came in or last changed, whatever was read again since (None: of a server from before this
    was noted; then `updated_at` tells).
    `leased_until` is when a worker's sign of life runs out, or, without a `lease`, when the next try may begin.
    A row that is being deleted has given its name away, and goes once stores and files have let go of its content.
    """

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("collection_id", "name"),
        Index("ix_documents_collection_id_change", "collection_id", "change"),
    )

    id: str = identifier("doc")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64)
    collection_id: str = Field(foreign_key="collections.id", ondelete="CASCADE", max_length=64, index=True)
    name: str = Field(max_length=1000)
    state: str = Field(default=DocumentState.QUEUED.value, max_length=16, index=True)
    media_type: str | None = Field(default=None, max_length=200, description="found from the content")
    size: int = Field(default=0, description="bytes of the original")
    content_hash: str = Field(max_length=64, description="SHA-256 of the original")
    pipeline: str = Field(default="", max_length=64)
    revision: int = 1
    indexed_revision: int = 0
    source_url: str | None = Field(default=None, max_length=2000)
    source_id: str | None = Field(default=None, max_length=64, index=True)
    source_mark: str = Field(default="", max_length=300, sa_column_kwargs={"server_default": ""})
    file_key: str = Field(default="", max_length=500, description="the original, in the file store")
    text_key: str = Field(default="", max_length=500, description="the extracted text, in the file store")
    chunks_key: str = Field(
        default="",
        max_length=500,
        description="the list of its chunks, in the file store",
        sa_column_kwargs={"server_default": ""},
    )
    chunks_digest: str = Field(
        default="",
        max_length=16,
        description="hexadecimal, of the chunks' identifiers",
        sa_column_kwargs={"server_default": ""},
    )
    change: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    pages: int | None = None
    characters: int = 0
    chunks: int = 0
    attributes: dict[str, Any] = json_object()
    error_code: str | None = Field(default=None, max_length=64)
    error_message: str | None = Field(default=None, max_length=1000)
    attempts: int = Field(default=0, description="tries of this revision, counted before the work")
    job_id: str | None = Field(default=None, max_length=64, index=True, description="the job that brings this revision in")
    created_at: datetime = created_now()
    updated_at: datetime = created_now()
    content_at: datetime | None = moment()
    lease: str | None = Field(default=None, max_length=32, description="who works on it: random, new for each try")
    leased_until: datetime | None = moment(index=True)


class CollectionUpkeep(SQLModel, table=True):
    """How far a collection's content has come, and what keeps its stores in line with it.

    `number` is raised by each change of what is searchable, in the change's transaction. Deletions up to `known_from` are no
    longer listed. `comparison` is raised to have every word index compared with the documents, whatever it has noted.
    `job_id` is the reconciliation that somebody has asked for and that has not ended; `lease` is of the worker that
    reconciles.
    """

    __tablename__ = "collection_upkeep"

    collection_id: str = Field(primary_key=True, foreign_key="collections.id", ondelete="CASCADE", max_length=64)
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64)
    number: int = Field(default=0, sa_type=BigInteger)
    known_from: int = Field(default=0, sa_type=BigInteger)
    comparison: int = Field(default=0, sa_type=BigInteger)
    job_id: str | None = Field(default=None, max_length=64)
    reconciled_at: datetime = required_moment(index=True)
    lease: str | None = Field(default=None, max_length=32)
    leased_until: datetime | None = moment()


class DepartedDocument(SQLModel, table=True):
    """That a document was deleted, with the collection's number of that change: for word indexes that still have it. A
    collection that was deleted has a row as well, under its own identifier and with the number 0. `remains`: whether something
    of it may still lie in the files of stores, or among answers that are kept."""

    __tablename__ = "departed_documents"
    __table_args__ = (Index("ix_departed_documents_collection_id_number", "collection_id", "number"),)

    document_id: str = Field(primary_key=True, max_length=64)
    collection_id: str = Field(max_length=64)
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64)
    number: int = Field(sa_type=BigInteger)
    remains: bool = True
    departed_at: datetime = created_now()
