"""Documents of a collection: brought in as files, texts or URLs; listed, read, deleted."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from core.principals import Principal, Scope
from core.tables import Document, DocumentState
from retrievers.places import MOST_CHARACTERS, Place, find_place
from retrievers.sharing import Level
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState
from server.uploads import NewText, received

router = APIRouter(prefix="/api/v1/rag/collections/{name}/documents", tags=["Documents"])

Reader = Annotated[Principal, requires(Scope.RAG_READ, Scope.RAG_SEARCH)]
Writer = Annotated[Principal, requires(Scope.RAG_WRITE)]
CollectionName = Annotated[str, Path(description="the collection's name", examples=["handbook"])]
DocumentID = Annotated[str, Path(description="the document's id", examples=["doc_3QzYp0aB"])]

#: No text is as long; a larger number would be none of a database's.
MOST_POSITION = 2**31 - 1
#: A stored file is somebody's: it must not run as a page of ours.
_HARMLESS = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'"}

_BODIES = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["files"],
            "properties": {
                "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                "metadata": {
                    "type": "string",
                    "description": "a JSON object, for all of the files: what a search can filter by",
                },
            },
        }
    },
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["documents"],
            "additionalProperties": False,
            "properties": {"documents": {"type": "array", "minItems": 1, "items": NewText.model_json_schema()}},
        },
        "example": {"documents": [{"name": "notes.md", "text": "# Notes", "metadata": {"year": 2024}}]},
    },
}


class AcceptedDocument(BaseModel):
    """A document of an accepted request."""

    id: str
    name: str


class Accepted(BaseModel):
    """What brings the documents in."""

    job_id: str
    documents: list[AcceptedDocument]


class DocumentFailure(BaseModel):
    """Why a document could not be read."""

    code: str
    message: str


class DocumentInfo(BaseModel):
    """A document. Its passages can be found while `searchable`, also while newer content is on its way, or has failed."""

    id: str
    name: str
    state: DocumentState
    searchable: bool
    media_type: str | None = Field(description="found from the content; null before it was read")
    size: int = Field(description="bytes of the original")
    pages: int | None = Field(description="null where the format has none")
    characters: int = Field(description="of the extracted text")
    chunks: int = Field(description="passages")
    metadata: dict[str, Any]
    source_url: str | None
    error: DocumentFailure | None
    revision: int = Field(description="counts contents")
    job_id: str | None = Field(description="the job that brings, or brought, this content in")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Document) -> "DocumentInfo":
        error = DocumentFailure(code=row.error_code, message=row.error_message or "") if row.error_code else None
        return cls(
            **row.model_dump(
                include={
                    *("id", "name", "state", "media_type", "size", "pages", "characters", "chunks", "source_url"),
                    *("revision", "job_id", "created_at", "updated_at"),
                }
            ),
            searchable=row.indexed_revision > 0,
            metadata=row.attributes,
            error=error if row.state == DocumentState.FAILED else None,
        )


class TextPlace(BaseModel):
    """A stretch of a document's extracted text, `[start:end]` in characters, with what stands around it."""

    document: str = Field(description="the document's name")
    document_id: str
    media_type: str | None
    revision: int = Field(description="the content that this is of")
    characters: int = Field(description="of the whole text")
    page: int | None = Field(description="counted from 1; a slide's or sheet's number where the format has these")
    heading: str = Field(description="title and headings above, outermost first, with ` › ` between them; empty: not known")
    start: int
    end: int
    before: str
    text: str
    after: str

    @classmethod
    def of(cls, place: Place) -> "TextPlace":
        document = place.document
        return cls(
            document=document.name,
            document_id=document.id,
            media_type=document.media_type,
            revision=document.indexed_revision,
            characters=place.characters,
            page=place.page,
            heading=place.heading,
            start=place.start,
            end=place.end,
            before=place.before,
            text=place.text,
            after=place.after,
        )


class DocumentPage(BaseModel):
    """Some of the documents."""

    results: list[DocumentInfo]
    next_cursor: str | None


@router.post(
    "", status_code=202, response_model=Accepted, openapi_extra={"requestBody": {"required": True, "content": _BODIES}}
)
async def add_documents(name: CollectionName, request: Request, state: CurrentState, principal: Writer) -> JSONResponse:
    """Bring documents in. Files as multipart (`files`), texts and URLs as JSON.

    The answer names the job that does it. A document is known by its name: other content under the name replaces it, the
    same content is skipped. A name may come once in a request.
    """
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    async with received(request, state.settings.limits, state.library.resources.files.scratch) as items:
        job, documents = await state.library.documents.add(principal, collection, items)
    accepted = Accepted(job_id=job.id, documents=[AcceptedDocument(id=row.id, name=row.name) for row in documents])
    return JSONResponse(accepted.model_dump(), 202, {"location": f"/api/v1/jobs/{job.id}"})


@router.get("", response_model=DocumentPage)
async def list_documents(
    name: CollectionName,
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    document_state: Annotated[DocumentState | None, Query(alias="state", description="only documents in this state")] = None,
    document_name: Annotated[str | None, Query(alias="name", max_length=1024, description="only the one of this name")] = None,
    containing: Annotated[
        str | None,
        Query(alias="name_contains", max_length=1024, description="only those with this in their name, whatever its capitals"),
    ] = None,
) -> dict[str, object]:
    """List documents by name."""
    collection = await state.library.collections.get(principal, name)
    rows, following = await state.library.documents.page(
        collection,
        limit=paging.limit,
        after=paging.after,
        state=document_state,
        name=document_name,
        containing=containing,
    )
    return page([DocumentInfo.of(row) for row in rows], following)


@router.get("/{document_id}")
async def get_document(name: CollectionName, document_id: DocumentID, state: CurrentState, principal: Reader) -> DocumentInfo:
    """Show a document."""
    collection = await state.library.collections.get(principal, name)
    return DocumentInfo.of(await state.library.documents.get(principal, collection, document_id))


@router.get("/{document_id}/text", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_text(name: CollectionName, document_id: DocumentID, state: CurrentState, principal: Reader) -> Response:
    """The extracted text, which citations and search results point into (`start` and `end` count its characters)."""
    collection = await state.library.collections.get(principal, name)
    text = await state.library.documents.text(principal, collection, document_id)
    return Response(text.encode(), media_type="text/plain; charset=utf-8", headers=_HARMLESS)


@router.get("/{document_id}/place")
async def get_place(
    name: CollectionName,
    document_id: DocumentID,
    state: CurrentState,
    principal: Reader,
    start: Annotated[int, Query(ge=0, le=MOST_POSITION, description="as a citation or a search result names it")] = 0,
    end: Annotated[int | None, Query(ge=0, le=MOST_POSITION, description="empty: `start`")] = None,
    around: Annotated[int, Query(ge=0, le=MOST_CHARACTERS, description="characters to show on each side")] = 1000,
) -> TextPlace:
    """A stretch of the extracted text, as a citation names it, with its page and headings and what stands around it: at most
    20,000 characters of each."""
    collection = await state.library.collections.get(principal, name)
    stop = start if end is None else end
    return TextPlace.of(await find_place(state.library, principal, collection, document_id, start, stop, around=around))


@router.get("/{document_id}/original", response_class=Response, responses={200: {"content": {"application/octet-stream": {}}}})
async def get_original(name: CollectionName, document_id: DocumentID, state: CurrentState, principal: Reader) -> Response:
    """The file as it was given, as a download."""
    collection = await state.library.collections.get(principal, name)
    row, content = await state.library.documents.original(principal, collection, document_id)
    file_name = quote(row.name.rsplit("/", 1)[-1], safe="")
    headers = _HARMLESS | {"content-disposition": f"attachment; filename*=UTF-8''{file_name}"}
    return Response(content, media_type=row.media_type or "application/octet-stream", headers=headers)


@router.delete("/{document_id}", status_code=204)
async def delete_document(name: CollectionName, document_id: DocumentID, state: CurrentState, principal: Writer) -> Response:
    """Delete a document: its passages, its text and the original."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    await state.library.documents.delete(principal, collection, document_id)
    return Response(status_code=204)
