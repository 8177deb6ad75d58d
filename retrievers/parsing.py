"""Parsing a caller's file: in a child process that is killed when it takes too long or too much memory."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from core.child import ChildFailed, ChildKilled, ChildTimedOut, Lane, run_in_child
from core.errors import UnreadableFile
from core.parts import lacks
from core.settings import Settings
from retrievers import LOADERS
from retrievers.archives import Bounds, Unpacked
from retrievers.base import LoadedDocument
from retrievers.images import check_image
from retrievers.loaders.encoding import clean
from retrievers.loaders.pdf import with_page_texts
from retrievers.ocr import MEMORY_BYTES as OCR_MEMORY_BYTES
from retrievers.packages import ARCHIVES
from retrievers.sniffing import sniff

#: Part of what decides whether unchanged content is read again: raise it when a loader gives other text, or other attributes.
LOADERS_VERSION = 6

#: The code by which an archive is told where its members are to be documents of their own.
ARCHIVE_FOUND = "archive_found"

_Result = TypeVar("_Result")


async def parse(
    data: bytes | Path, name: str, *, settings: Settings, apart: bool = False, lane: Lane = "files"
) -> LoadedDocument:
    """Read a file: its text and structure, by OCR where pages or the whole file are pictures. May be repeated.

    A `Path` is read in the child, so that a large file costs this process nothing. `name` is the caller's; it only chooses
    among the flavours of text. Time and memory are bounded for the parsing and, anew, for every page that is read by OCR
    (`jobs.parse_timeout_s`, `jobs.parse_memory_bytes`). An archive is read as one text of all its members; with `apart` it is
    not read, but told. `lane` says whose children read it: `bulk` where nobody waits.

    Raises:
        UnreadableFile: `empty_file`, `encrypted_file`, `corrupt_file`, `unsupported_file_type`, `legacy_format`,
            `file_too_complex`, `too_many_documents`, `image_too_large`, `no_text_found`, `ocr_not_installed`; with `apart`,
            `ARCHIVE_FOUND`.
    """
    document = await load_in_child(data, name, settings=settings, apart=apart, lane=lane)
    if document.unread_pages:
        if document.media_type.startswith("image/"):
            head = data if isinstance(data, bytes) else await asyncio.to_thread(data.read_bytes)
            await asyncio.to_thread(check_image, head, settings.limits)
        if len(document.unread_pages) > settings.jobs.ocr_pages:
            raise UnreadableFile(
                f"{len(document.unread_pages)} pages are pictures; at most {settings.jobs.ocr_pages} are read.",
                code="file_too_complex",
            )
        document = with_page_texts(
            document, await read_pages(data, document.media_type, document.unread_pages, settings=settings, lane=lane)
        )
    if not any(map(str.isalnum, document.text)):
        raise UnreadableFile("No text was found in the file.", code="no_text_found")
    return document


async def load_in_child(
    data: bytes | Path, name: str, *, settings: Settings, apart: bool = False, lane: Lane = "files"
) -> LoadedDocument:
    """As `parse`, without OCR: `unread_pages` are still to be read, and there may be no text.

    Raises:
        UnreadableFile: as `parse`, but for `image_too_large` and `no_text_found`.
    """
    if not data:
        raise UnreadableFile("The file is empty.", code="empty_file")
    document: LoadedDocument = await _bounded(
        run_in_child(
            "retrievers.parsing:load",
            data,
            name,
            apart,
            timeout_s=settings.jobs.parse_timeout_s,
            memory_bytes=settings.jobs.parse_memory_bytes,
            lane=lane,
        )
    )
    return document


async def unpack(file: Path, name: str, target: Path, *, settings: Settings, path_bytes: int) -> tuple[str, list[Unpacked]]:
    """Write an archive's members into the directory `target`, in a child with the bounds of a parsing. At most
    `limits.files_per_upload` of them, each at most as large as an upload (`limits.upload_bytes`). The archive's media type, and
    what was found.

    Raises:
        UnreadableFile: `encrypted_file`, `corrupt_file`, `file_too_complex`, `too_many_documents`: of the archive as a whole.
    """
    limits = settings.limits
    found: tuple[str, list[Unpacked]] = await _bounded(
        run_in_child(
            "retrievers.archives:unpack_into",
            file,
            name,
            target,
            Bounds(members=limits.files_per_upload, member_bytes=limits.upload_bytes, path_bytes=path_bytes),
            timeout_s=settings.jobs.parse_timeout_s,
            memory_bytes=settings.jobs.parse_memory_bytes,
            lane="bulk",
        )
    )
    return found


async def read_pages(
    data: bytes | Path, media_type: str, pages: Sequence[int], *, settings: Settings, lane: Lane = "files"
) -> dict[int, str]:
    """Page → text by OCR, page by page, so that each has its own limits and other work comes between.

    Raises:
        UnreadableFile: `corrupt_file`, `image_too_large`, `file_too_complex`, `ocr_not_installed`.
    """
    if pages and lacks("rapidocr", "cv2", "onnxruntime"):
        raise UnreadableFile(
            "It shows its text in pictures, and this installation reads none: it is without its part ocr.",
            code="ocr_not_installed",
        )
    texts: dict[int, str] = {}
    for page in pages:
        texts |= await _bounded(
            run_in_child(
                "retrievers.ocr:read_pages_here",
                data,
                media_type,
                (page,),
                settings.limits.image_pixels,
                timeout_s=settings.jobs.parse_timeout_s,
                memory_bytes=settings.jobs.parse_memory_bytes + OCR_MEMORY_BYTES,
                lane=lane,
            )
        )
    return {page: clean(text) for page, text in texts.items()}


async def render_page(data: bytes, media_type: str, page: int, *, settings: Settings) -> tuple[str, bytes]:
    """A page of a PDF, or an image, drawn anew for a model that sees: its media type and bytes.

    Raises:
        UnreadableFile: as `read_pages`, and `encrypted_file`.
    """
    rendered: tuple[str, bytes] = await _bounded(
        run_in_child(
            "retrievers.rendering:render",
            data,
            media_type,
            page,
            _SEEN_EDGE,
            settings.limits.image_pixels,
            _SEEN_BYTES,
            timeout_s=settings.jobs.parse_timeout_s,
            memory_bytes=settings.jobs.parse_memory_bytes,
        )
    )
    return rendered


#: What all providers take: OpenAI scales to 2,048 pixels, Anthropic refuses above 5 MB of base64 (their guides, 2025).
_SEEN_EDGE = 2048
_SEEN_BYTES = 3_500_000


def load(file: bytes | Path, name: str, apart: bool = False) -> LoadedDocument:
    """Sniff and load in this process, which must be a child where the file is a caller's.

    Raises:
        UnreadableFile: as `parse`, but for what OCR would read.
    """
    data = file if isinstance(file, bytes) else file.read_bytes()
    media_type = sniff(data, name)
    if apart and media_type in ARCHIVES:
        raise UnreadableFile("It is an archive.", code=ARCHIVE_FOUND)
    document: LoadedDocument = LOADERS.load(media_type)(data, name)
    told = {"title": document.title, "media_type": document.media_type}
    return replace(document, attributes={**{name: text for name, text in told.items() if text}, **document.attributes})


async def _bounded(work: Awaitable[Any]) -> Any:
    """What the child gives, its failures as errors that a caller can be told."""
    try:
        return await work
    except ChildTimedOut as error:
        raise UnreadableFile("The file takes too long to read.", code="file_too_complex") from error
    except ChildKilled as error:
        code = "file_too_complex" if error.reason == "memory" else "corrupt_file"
        message = "The file takes too much memory to read." if error.reason == "memory" else "The file cannot be read."
        raise UnreadableFile(message, code=code, context={"status": error.status}) from error
    except ChildFailed as error:
        if error.code is not None:
            raise UnreadableFile(error.message, code=error.code) from error
        raise UnreadableFile(
            "The file is damaged.", code="corrupt_file", context={"error": error.error_type, "detail": error.message[:500]}
        ) from error
