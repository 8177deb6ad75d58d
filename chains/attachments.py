"""Files that come with a request: decoded, checked before anything is opened, and read as text or as pictures."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.errors import InvalidRequest, PlatformError, UnreadableFile
from core.settings import RequestLimits, Settings
from retrievers.images import ImageInfo, check_image
from retrievers.parsing import load_in_child, parse, read_pages, render_page
from retrievers.sniffing import is_pdf, sniff_image

#: Pages of one PDF without a text layer that are shown to a model that sees; of a longer one the text is read by OCR.
MAX_SHOWN_PAGES = 10

_DATA_URL = re.compile(r"data:([\w.+/-]*)((?:;[\w.+=-]+)*),", re.IGNORECASE)
_BLANK = re.compile(r"\s+")
_MARK = re.compile(r"<(?=\s*/?\s*attachment)", re.IGNORECASE)
_URLSAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file as the caller gave it; `image` tells what an image is, None for a document."""

    name: str
    param: str
    data: bytes
    image: ImageInfo | None


@dataclass(frozen=True, slots=True)
class Content:
    """What a model is given of an attachment: text, and pictures as (media type, bytes)."""

    name: str
    text: str
    pictures: tuple[tuple[str, bytes], ...] = ()
    pages: int | None = None


class Way(Protocol):
    """How an attachment is read: `as_text` or `as_seen`."""

    async def __call__(self, attachment: Attachment, *, settings: Settings) -> Content: ...


def attachments(images: Sequence[str], documents: Sequence[tuple[str | None, str]], limits: RequestLimits) -> list[Attachment]:
    """Decode base64 or `data:` URLs; documents are (name, data). A PDF among the images counts as a document, and an image
    among the documents as an image. Blocking.

    Raises:
        InvalidRequest: not base64; `param` names which.
        UnreadableFile: as `retrievers.images.check_image`.
    """
    given: list[tuple[str | None, str, str]] = [(None, f"images.{index}", data) for index, data in enumerate(images)]
    given += [(name, f"documents.{index}.data", data) for index, (name, data) in enumerate(documents)]
    found: list[Attachment] = []
    for name, param, encoded in given:
        data = _decode(encoded, param)
        image = None
        if sniff_image(data[:32]) or (param.startswith("images") and not is_pdf(data)):
            try:
                image = check_image(data, limits)
            except UnreadableFile as error:
                raise _naming(error, param) from error
        kind = "image" if image else "document"
        found.append(Attachment(_clean(name) or f"{kind} {len(found) + 1}", param, data, image))
    return found


async def as_text(attachment: Attachment, *, settings: Settings) -> Content:
    """The text of an attachment, by OCR where it is a picture; empty where a picture holds none.

    Raises:
        UnreadableFile: it is damaged, encrypted, of an unknown kind, or too much to read; `param` names which.
    """
    try:
        if attachment.image is not None:
            texts = await read_pages(attachment.data, attachment.image.media_type, (1,), settings=settings)
            return Content(attachment.name, texts[1])
        document = await parse(attachment.data, attachment.name, settings=settings)
    except UnreadableFile as error:
        if error.code == "no_text_found":
            return Content(attachment.name, "")
        raise _naming(error, attachment.param) from error
    return Content(attachment.name, document.text, pages=document.pages)


async def as_seen(attachment: Attachment, *, settings: Settings) -> Content:
    """What a model that sees is given: an image as it is, a document's text, and its pages without text as pictures.

    Raises:
        UnreadableFile: as `as_text`.
    """
    try:
        if attachment.image is not None:
            picture = await render_page(attachment.data, attachment.image.media_type, 1, settings=settings)
            return Content(attachment.name, "", (picture,))
        document = await load_in_child(attachment.data, attachment.name, settings=settings)
        if len(document.unread_pages) > MAX_SHOWN_PAGES:
            return await as_text(attachment, settings=settings)
        pictures = [
            await render_page(attachment.data, document.media_type, page, settings=settings) for page in document.unread_pages
        ]
    except UnreadableFile as error:
        raise _naming(error, attachment.param) from error
    return Content(attachment.name, document.text, tuple(pictures), document.pages)


def defused(text: str) -> str:
    """Text that can neither end the mark `<attachment>` that it stands in nor begin another, however that is written."""
    return _MARK.sub("&lt;", text)


def _decode(encoded: str, param: str) -> bytes:
    head = _DATA_URL.match(encoded[:300])
    if head and not head[2].lower().endswith(";base64"):
        raise InvalidRequest(f"{param}: a data URL must be in base64.", param=param)
    if head is None and encoded[:8].lower().startswith(("http:", "https:", "data:")):
        raise InvalidRequest(f"{param}: addresses are not fetched; send the file itself in base64.", param=param)
    try:
        bare = _BLANK.sub("", encoded[head.end() :] if head else encoded).translate(_URLSAFE).rstrip("=")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{param}: this is not base64.", param=param) from error


def _clean(name: str | None) -> str:
    """A caller's name as it may stand in a prompt."""
    shown = "".join(character for character in name or "" if character.isprintable() and character not in '<>"')
    return " ".join(shown.split())[:100]


def _naming(error: PlatformError, param: str) -> UnreadableFile:
    return UnreadableFile(error.message, code=error.code, param=param, context=error.context)
