"""Files that hold files: what a ZIP package, an OLE file or an archive is, told from its directory; nothing is unpacked."""

import tarfile
from io import BytesIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from core.errors import UnreadableFile

_OPEN_XML = "application/vnd.openxmlformats-officedocument."
DOCX = f"{_OPEN_XML}wordprocessingml.document"
PPTX = f"{_OPEN_XML}presentationml.presentation"
XLSX = f"{_OPEN_XML}spreadsheetml.sheet"
EPUB = "application/epub+zip"
MAIL = "message/rfc822"
ZIP, TAR = "application/zip", "application/x-tar"
GZIP, BZIP2, XZ = "application/gzip", "application/x-bzip2", "application/x-xz"

#: Each of their members is a document of its own. One that is packed by GZIP, BZIP2 or XZ holds a TAR, or a single file.
ARCHIVES = frozenset({ZIP, TAR, GZIP, BZIP2, XZ})
#: Read as one text, they are made of other files, whose pages are counted on.
COMPOSED = ARCHIVES | {MAIL}

#: Uncompressed sizes, as a package's directory declares them; reading stops there even where it lies.
MAX_UNPACKED_BYTES = 256 * 2**20
MAX_XML_BYTES = 48 * 2**20
#: Text packs to a twentieth, tables of repeated cells to a fiftieth; more than this, beyond a size, is made to hurt.
MAX_PACKING = 150
PACKING_COUNTS_ABOVE_BYTES = 8 * 2**20
MAX_ENTRIES = 10_000

_MAX_DIRECTORY = 20_000
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_PACKED_STARTS = {b"\x1f\x8b\x08": GZIP, b"BZh": BZIP2, b"\xfd7zXZ\x00": XZ}
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # the first block's mark, or that of an end without any
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: How the streams of an OLE file are called → what it is, and as what it can be read.
_OLE_KINDS = {
    "EncryptedPackage": ("", ""),
    "WordDocument": ("a Word document", ".docx"),
    "PowerPoint Document": ("a PowerPoint presentation", ".pptx"),
    "Workbook": ("an Excel workbook", ".xlsx"),
    "Book": ("an Excel workbook", ".xlsx"),
    "__substg1.0_": ("an Outlook message", ".eml"),
}
_OTHER_PACKAGES = {
    "xl/workbook.bin": "a binary Excel workbook; save it as .xlsx",
    "META-INF/MANIFEST.MF": "a Java package",
    "AndroidManifest.xml": "an Android package",
    "Index/Document.iwa": "an iWork document; export it as .pdf",
    "visio/document.xml": "a Visio drawing; export it as .pdf",
}
_BROKEN = (BadZipFile, ValueError, NotImplementedError, OSError, EOFError)


def sniff_package(data: bytes) -> str | None:
    """The media type of a file that holds files, None for any other.

    Raises:
        UnreadableFile: `encrypted_file`, `legacy_format`, `file_too_complex` (too many entries), `corrupt_file`, or
            `unsupported_file_type`.
    """
    if data.startswith(_ZIP_STARTS):
        return _sniff_zip(data)
    if data.startswith(_OLE):
        raise _ole_refused(data)
    return sniff_packed(data)


def sniff_packed(data: bytes) -> str | None:
    """The media type of an archive other than ZIP, told from its beginning; None for anything else."""
    for start, kind in _PACKED_STARTS.items():
        if data.startswith(start) and (kind != BZIP2 or data[4:10] in _BZIP2_BLOCKS):
            return kind
    try:
        tarfile.TarInfo.frombuf(data[:512], "utf-8", "surrogateescape")  # its checksum is right, then
    except tarfile.HeaderError:
        return None
    return TAR


def may_be_archive(data: bytes) -> bool:
    """Whether it is worth asking `sniff_package`: cheap, and true for every archive."""
    return data.startswith(_ZIP_STARTS) or sniff_packed(data) is not None


def check_package(data: bytes, *, max_xml_bytes: int = MAX_XML_BYTES) -> None:
    """Refuse by a package's directory alone what would unpack to too much; nothing is unpacked.

    Raises:
        UnreadableFile: `file_too_complex`, `encrypted_file`, `corrupt_file`.
    """
    entries = _directory(data)
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnreadableFile("The file is protected with a password.", code="encrypted_file")
    xml = sum(entry.file_size for entry in entries if entry.filename.endswith((".xml", ".rels", ".xhtml", ".html", ".ncx")))
    overpacked = xml > PACKING_COUNTS_ABOVE_BYTES and xml > MAX_PACKING * len(data)
    if (
        overpacked
        or len(entries) > MAX_ENTRIES
        or xml > max_xml_bytes
        or sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES
    ):
        raise UnreadableFile("The document would unpack to too much.", code="file_too_complex")


def unsupported(kind: str) -> UnreadableFile:
    """The refusal of a kind of file, which says what to do where something can be done."""
    return UnreadableFile(f"This kind of file cannot be read: it is {kind}.", code="unsupported_file_type")


def _directory(data: bytes) -> list[ZipInfo]:
    try:
        with ZipFile(BytesIO(data)) as archive:
            return archive.infolist()
    except _BROKEN as error:
        raise UnreadableFile("The file is damaged: its archive cannot be opened.", code="corrupt_file") from error


def _sniff_zip(data: bytes) -> str:
    if data.count(b"PK\x01\x02") > _MAX_DIRECTORY:
        raise UnreadableFile("The archive has too many entries.", code="file_too_complex")
    entries = _directory(data)
    names = {entry.filename for entry in entries}
    if "[Content_Types].xml" in names:
        for main, kind in (("word/", DOCX), ("ppt/presentation.xml", PPTX), ("xl/workbook.xml", XLSX)):
            if any(name.startswith(main) for name in names):
                return kind
    declared = _declared(data) if "mimetype" in names else ""
    if declared == EPUB or "META-INF/container.xml" in names:
        return EPUB
    if declared.startswith("application/vnd.oasis.opendocument."):
        raise unsupported("an OpenDocument file; save it as .docx, .xlsx or .pptx")
    for name, other in _OTHER_PACKAGES.items():
        if name in names:
            raise unsupported(other)
    files = [entry for entry in entries if not entry.is_dir()]
    if files and all(entry.flag_bits & 1 for entry in files):
        raise UnreadableFile("The archive is protected with a password.", code="encrypted_file")
    return ZIP


def _declared(data: bytes) -> str:
    """What the member `mimetype` says, by which EPUB and OpenDocument tell themselves."""
    try:
        with ZipFile(BytesIO(data)) as archive, archive.open("mimetype") as opened:
            return opened.read(100).decode("ascii", "replace").strip()
    except (*_BROKEN, RuntimeError):  # encrypted, or damaged
        return ""


def _ole_refused(data: bytes) -> UnreadableFile:
    for stream, (kind, successor) in _OLE_KINDS.items():
        if stream.encode("utf-16-le") in data:
            if not kind:
                return UnreadableFile("The file is protected with a password.", code="encrypted_file")
            since = "an older format" if successor == ".eml" else "the format of before 2007"
            return UnreadableFile(
                f"This is {kind} in {since}. Save it as {successor}, and bring that in.", code="legacy_format"
            )
    return UnreadableFile(
        "This is a file in the format of Office before 2007. Save it as .docx, .xlsx or .pptx, and bring that in.",
        code="legacy_format",
    )
