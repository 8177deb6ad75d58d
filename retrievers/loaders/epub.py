"""EPUB books: the chapters in the order of the spine, under the names that the table of contents gives them."""

from collections.abc import Iterator
from io import BytesIO
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.html import load_html
from retrievers.loaders.properties import properties
from retrievers.packages import EPUB, check_package

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_NS = {
    "c": "urn:oasis:names:tc:opendocument:xmlns:container",
    "opf": "http://www.idpf.org/2007/opf",
    "dc": "http://purl.org/dc/elements/1.1/",
    "ncx": "http://www.daisy.org/z3986/2005/ncx/",
    "h": "http://www.w3.org/1999/xhtml",
    "enc": "http://www.w3.org/2001/04/xmlenc#",
}
#: These hide fonts alone, from which nothing is read.
_OF_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_CHAPTERS = ("application/xhtml+xml", "text/html")
_MAX_CHAPTERS = 5_000


def load_epub(data: bytes, name: str) -> LoadedDocument:
    """A chapter that begins with a heading of its own is under that, any other under its name in the table of contents. The
    book's authors are its attribute `author`; its pages depend on the reader, and are not told.

    Raises:
        UnreadableFile: `encrypted_file` (by a shop, too), `file_too_complex`, `corrupt_file`.
    """
    check_package(data)
    from defusedxml.common import DefusedXmlException

    try:
        with ZipFile(BytesIO(data)) as package:
            return _Book(package).read()
    except (BadZipFile, DefusedXmlException, ParseError, KeyError, ValueError, OSError, EOFError, NotImplementedError) as error:
        raise UnreadableFile("The book is damaged.", code="corrupt_file") from error


class _Book:
    """An open package."""

    def __init__(self, package: ZipFile) -> None:
        self._package = package
        self._names = set(package.namelist())
        self._refuse_protected()
        root = self._xml(_CONTAINER).find("c:rootfiles/c:rootfile", _NS)
        self._place = (root.get("full-path") if root is not None else None) or ""
        self._opf = self._xml(self._place)
        self._items = {item.get("id", ""): item for item in self._opf.iterfind("opf:manifest/opf:item", _NS)}

    def read(self) -> LoadedDocument:
        names = dict(self._contents())
        assembly = Assembly()
        chapters = self._opf.findall("opf:spine/opf:itemref", _NS)
        if len(chapters) > _MAX_CHAPTERS:
            raise UnreadableFile(f"The book has more than {_MAX_CHAPTERS:,} chapters.", code="file_too_complex")
        for reference in chapters:
            item = self._items.get(reference.get("idref", ""))
            if item is None or item.get("media-type") not in _CHAPTERS or "nav" in item.get("properties", "").split():
                continue
            path = self._path(self._place, item.get("href", ""))
            if path not in self._names:
                continue
            chapter = load_html(self._package.read(path), path)
            assembly.page(None, anew=True)
            if path in names and not (chapter.sections and chapter.sections[0].heading):
                assembly.heading(1, names[path])
            assembly.include(chapter)
        authors = [author.text for author in self._opf.iterfind("opf:metadata/dc:creator", _NS) if author.text]
        return assembly.document(
            EPUB,
            title=self._opf.findtext("opf:metadata/dc:title", None, _NS),
            attributes=properties(
                author=", ".join(authors),
                language=self._opf.findtext("opf:metadata/dc:language", "", _NS),
                created=self._opf.findtext("opf:metadata/dc:date", "", _NS),
            ),
        )

    def _contents(self) -> Iterator[tuple[str, str]]:
        """Path → name of a chapter, the first that the table of contents gives it: that of EPUB 3, else that of EPUB 2."""
        for item in self._items.values():
            place = self._path(self._place, item.get("href", ""))
            if place not in self._names:
                continue
            if "nav" in item.get("properties", "").split():
                links = reversed(self._xml(place).findall(".//h:nav//h:a", _NS))
                yield from ((self._path(place, a.get("href", "")), " ".join("".join(a.itertext()).split())) for a in links)
            elif item.get("media-type") == "application/x-dtbncx+xml":
                for point in reversed(self._xml(place).findall(".//ncx:navPoint", _NS)):
                    content = point.find("ncx:content", _NS)
                    if content is not None:
                        label = point.findtext("ncx:navLabel/ncx:text", "", _NS)
                        yield self._path(place, content.get("src", "")), " ".join(label.split())

    def _refuse_protected(self) -> None:
        if _ENCRYPTION not in self._names:
            return
        for method in self._xml(_ENCRYPTION).iterfind(".//enc:EncryptionMethod", _NS):
            if method.get("Algorithm") not in _OF_FONTS:
                raise UnreadableFile("The book is protected by its shop.", code="encrypted_file")

    def _xml(self, path: str) -> "Element":
        from defusedxml.ElementTree import fromstring

        element: Element = fromstring(self._package.read(path))
        return element

    @staticmethod
    def _path(base: str, reference: str) -> str:
        """A reference of one member to another, as the package names it; it leads nowhere else."""
        return normpath(join(dirname(base), unquote(urlsplit(reference).path)))
