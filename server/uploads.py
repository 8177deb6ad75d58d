"""Documents as a request carries them: files as multipart, which goes to disk as it comes; texts and URLs as JSON."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Annotated

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from core.errors import InvalidRequest, TooLarge
from core.scratch import Scratch
from core.settings import RequestLimits
from core.shown_names import shown
from retrievers.documents import NewDocument
from server.file_names import carried

#: Files above this are handed on as files on disk, not as bytes in memory.
_IN_MEMORY = 256 * 2**10
_FIELD_BYTES = 64 * 2**10
_MOST_FIELDS = 10

Metadata = Annotated[
    dict[str, str | int | float | bool],
    Field(description="names and plain values that a search can filter by", examples=[{"year": 2024, "kind": "manual"}]),
]
_METADATA = TypeAdapter(Metadata)


class NewText(BaseModel):
    """A document given as text, or as the URL to fetch it from."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, description="what the document is known by; without one, a URL is its own name")
    text: str | None = Field(None, description="plain text, Markdown, or source code")
    url: str | None = Field(None, description="fetched by the job; http or https, no private address")
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> "NewText":
        if (self.text is None) == (self.url is None):
            raise ValueError("give either text or url")
        if self.name is None and self.url is None:
            raise ValueError("a text needs a name")
        return self


class NewDocuments(BaseModel):
    """Texts and URLs to bring in."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"documents": [{"name": "notes.md", "text": "# Notes", "metadata": {"year": 2024}}]}]},
    )

    documents: list[NewText] = Field(min_length=1)


@asynccontextmanager
async def received(request: Request, limits: RequestLimits, scratch: Scratch) -> AsyncIterator[list[NewDocument]]:
    """The documents of the request's body. What is on disk is deleted at the end of the block.

    Raises:
        RequestValidationError, InvalidRequest: the body is not what the address takes.
        TooLarge: `too_many_documents`.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        yield _from_json(await request.body(), limits)
        return
    form = await read_form(request, max_files=limits.files_per_upload)
    try:
        async with scratch.adirectory("upload") as directory:
            yield await _from_form(form, directory)
    finally:
        await form.close()


def _from_json(body: bytes, limits: RequestLimits) -> list[NewDocument]:
    try:
        given = NewDocuments.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False, include_context=False)) from None
    if len(given.documents) > limits.files_per_upload:
        raise _too_many(limits.files_per_upload)
    return [
        NewDocument(
            name=(item.name if item.name is not None else item.url) or "",
            data=item.text.encode() if item.text is not None else None,
            url=item.url,
            attributes=item.metadata,
        )
        for item in given.documents
    ]


async def read_form(request: Request, *, max_files: int, max_fields: int = _MOST_FIELDS) -> FormData:
    """The form of a multipart body; its files are on disk.

    Raises:
        InvalidRequest: `malformed_form`.
        TooLarge: `too_many_documents`.
    """
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=max_files, max_fields=max_fields, max_part_size=_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise _too_many(max_files) from None
        raise InvalidRequest(f"The form cannot be read: {error.message}", code="malformed_form") from None
    except (FormParserError, UnicodeDecodeError):
        raise InvalidRequest("The form cannot be read.", code="malformed_form") from None
    for _, value in form.multi_items():
        if isinstance(value, UploadFile) and value.filename:
            value.filename = carried(value.filename)
    return form


async def _from_form(form: FormData, directory: Path) -> list[NewDocument]:
    metadata: Metadata = {}
    files: list[UploadFile] = []
    for field, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.append(value)
        elif field == "metadata":
            try:
                metadata = _METADATA.validate_json(value)
            except ValidationError:
                raise InvalidRequest(
                    "metadata is a JSON object of names and plain values.", code="invalid_metadata", param="metadata"
                ) from None
        else:
            raise InvalidRequest(
                f"The form takes files and metadata; {shown(field)!r} is a text field.", code="invalid_form", param="files"
            )
    return [
        NewDocument(
            name=file.filename or "",
            data=await asyncio.to_thread(_content, file.file, file.size or 0, directory / str(number)),
            attributes=metadata,
        )
        for number, file in enumerate(files)
    ]


def _content(source: IO[bytes], size: int, target: Path) -> bytes | Path:
    source.seek(0)
    if size <= _IN_MEMORY:
        return source.read()
    with target.open("wb") as opened:
        shutil.copyfileobj(source, opened, 2**20)
    return target


def _too_many(most: int) -> TooLarge:
    return TooLarge(f"A request takes at most {most} {'file' if most == 1 else 'documents'}.", code="too_many_documents")
