"""Mails: the headers and the message, then what is attached, each file under its name and on pages of its own."""

import re
from collections.abc import Iterator
from email import policy
from email.errors import MessageError
from email.headerregistry import DateHeader
from email.message import Message
from email.parser import BytesParser
from typing import Any, cast

from core.errors import UnreadableFile
from retrievers.archives import Member, clean_path
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.encoding import clean, decode
from retrievers.loaders.html import load_html
from retrievers.loaders.parts import Parts, archived, finished
from retrievers.packages import MAIL

_SHOWN = ("From", "To", "Cc", "Date")
_LONGEST_ATTRIBUTE = 1000
_MAX_PARTS = 1_000
#: A picture in the message itself that is smaller is decoration: a logo, a line, a counter.
_DECORATION_BYTES = 16 * 1024
_BAD_HEADER = (MessageError, ValueError, IndexError, AttributeError, KeyError, TypeError, LookupError)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")


def load_mail(data: bytes, name: str) -> LoadedDocument:
    """Page 1 is the message; the pages of what is attached are counted on. An attached archive is read member by member.

    `from`, `to`, `cc`, `subject` and `date` (ISO 8601) are attributes. Of a message in several forms the plain one is read.

    Raises:
        UnreadableFile: `encrypted_file` (S/MIME, PGP), `file_too_complex` (parts nested too deep, or too many), `corrupt_file`.
    """
    try:
        message = BytesParser(policy=policy.default).parsebytes(data.lstrip(b"\r\n"))
        return _read(message, list(_leaves(message)))
    except RecursionError as error:
        raise UnreadableFile("The mail is nested too deep.", code="file_too_complex") from error
    except _BAD_HEADER as error:
        raise UnreadableFile("The mail is damaged.", code="corrupt_file") from error


def _read(message: Message, leaves: list[Message]) -> LoadedDocument:
    subject = _header(message, "Subject")
    attached = [part for part in leaves if not _is_body(part)]
    assembly = Assembly()
    assembly.page(1)
    assembly.heading(1, subject)
    assembly.prose("\n".join(f"{header}: {text}" for header in _SHOWN if (text := _header(message, header))))
    for part in leaves:
        if _is_body(part):
            _add_body(assembly, part)
    files = [(_file_name(part, number), _content(part)) for number, part in enumerate(attached, 1)]
    if files:
        assembly.prose("Attachments: " + ", ".join(file_name for file_name, _ in files))
    parts = Parts(assembly, 1)
    for file_name, content in files:
        for member in archived(content, file_name) if content else (Member(file_name, None, "empty_file", "It is empty."),):
            parts.add(member)
    return finished(parts, MAIL, title=subject or None, attributes=_attributes(message))


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that hold something, in order; of alternatives one, decorations left out."""
    todo: list[Message] = [message]
    seen = 0
    while todo:
        part = todo.pop()
        seen += 1
        if seen > _MAX_PARTS:
            raise UnreadableFile(f"The mail has more than {_MAX_PARTS:,} parts.", code="file_too_complex")
        kind = part.get_content_type()
        if kind in ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime") and not _is_signed(part):
            raise UnreadableFile("The mail is encrypted.", code="encrypted_file")
        if kind == "multipart/alternative" and part.is_multipart():
            todo += _chosen(cast("list[Message]", part.get_payload()))
        elif part.is_multipart() and kind != "message/rfc822":
            todo += reversed(cast("list[Message]", part.get_payload()))
        elif not _is_decoration(part):
            yield part


def _is_signed(part: Message) -> bool:
    return part.get_param("smime-type") in ("signed-data", "certs-only")


def _chosen(alternatives: list[Message]) -> list[Message]:
    """The plain text, where it says anything; else the last that can be read, which is the richest. What else stands beside it,
    or is attached within a form that is not taken, is a part as well. The last is the first to be read."""
    plain = [part for part in alternatives if part.get_content_type() == "text/plain" and _text(part).strip()]
    rich = [
        part for part in alternatives if part.get_content_maintype() == "multipart" or part.get_content_type() == "text/html"
    ]
    other = [part for part in alternatives if part not in rich and part.get_content_type() != "text/plain"]
    if plain:
        inner = (leaf for part in rich if part.is_multipart() for leaf in part.walk())
        other += [leaf for leaf in inner if not leaf.is_multipart() and not _is_body(leaf)]
    return [*reversed(other), *(plain[:1] or rich[-1:] or alternatives[:1])]


def _is_decoration(part: Message) -> bool:
    inline = bool(_header(part, "Content-ID")) and part.get_content_disposition() != "attachment"
    if part.get_content_type() in ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"):
        return True
    return inline and part.get_content_maintype() == "image" and len(_content(part)) < _DECORATION_BYTES


def _is_body(part: Message) -> bool:
    written = part.get_content_type() in ("text/plain", "text/html")
    return written and part.get_content_disposition() != "attachment" and not part.get_filename()


def _add_body(assembly: Assembly, part: Message) -> None:
    if part.get_content_type() == "text/html":
        assembly.include(load_html(_text(part).encode("utf-8", "replace"), ""))
        return
    for paragraph in _PARAGRAPHS.split(clean(_text(part))):
        assembly.prose(paragraph)


def _text(part: Message) -> str:
    """The text in the encoding that the part names, where it is true."""
    content = _content(part)
    charset = part.get_content_charset()
    if charset and charset not in ("us-ascii", "ascii", "utf-8"):
        try:
            return content.decode(charset)
        except (LookupError, ValueError):
            pass
    return decode(content)


def _content(part: Message) -> bytes:
    """A part's bytes; those of a mail that was passed on are the mail."""
    if part.get_content_type() == "message/rfc822" and part.is_multipart():
        inner = cast("list[Message]", part.get_payload())
        try:
            return inner[0].as_bytes(policy=policy.compat32) if inner else b""
        except _BAD_HEADER:
            return b""
    content: Any = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _file_name(part: Message, number: int) -> str:
    """The name that the part gives its file, harmless; else one by its number."""
    try:
        given = part.get_filename() or ""
    except _BAD_HEADER:
        given = ""
    if not given and part.get_content_type() == "message/rfc822":
        inner = cast("list[Message]", part.get_payload())
        given = f"{_header(inner[0], 'Subject')[:100] or 'message'}.eml" if part.is_multipart() and inner else "message.eml"
    return clean_path(given)[0].replace("/", "_") if given.strip() else f"attachment {number}"


def _header(message: Message, name: str) -> str:
    """A header in words; empty where there is none, or none that can be understood."""
    try:
        return " ".join(clean(str(message.get(name) or "")).split())
    except _BAD_HEADER:
        return ""


def _attributes(message: Message) -> dict[str, str]:
    found = {name.lower(): _header(message, name)[:_LONGEST_ATTRIBUTE] for name in ("From", "To", "Cc", "Subject", "Date")}
    try:
        date = message.get("Date")
        if isinstance(date, DateHeader) and date.datetime is not None:
            found["date"] = date.datetime.isoformat()
    except _BAD_HEADER:
        pass
    return {name: text for name, text in found.items() if text}
