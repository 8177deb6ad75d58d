"""Files of every kind, made as callers' programs make them."""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import Any

from PIL import Image, ImageDraw, ImageFont


def picture(lines: Sequence[str], kind: str = "PNG", size: tuple[int, int] = (620, 200), frames: int = 1) -> bytes:
    """Black text on white, one line under the other."""
    image = Image.new("RGB", size, "white")
    for index, line in enumerate(lines):
        ImageDraw.Draw(image).text((30, 20 + index * 48), line, fill="black", font=ImageFont.load_default(32))
    out = io.BytesIO()
    more = (
        {"save_all": True, "append_images": [Image.new("RGB", size, (60 * number, 0, 0)) for number in range(1, frames)]}
        if frames > 1
        else {}
    )
    image.save(out, kind, **more)
    return out.getvalue()


def huge_png(side: int = 30_000) -> bytes:
    """A whole, valid PNG of side by side pixels in about a hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(side // 8 + 2)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def pdf(pages: Sequence[Sequence[str]], *, title: str = "", password: str | None = None) -> bytes:
    """Each page a list of paragraphs; one that begins with `# ` is a heading."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    styles = getSampleStyleSheet()
    story = []
    for paragraphs in pages:
        for text in paragraphs:
            style = styles["Heading1"] if text.startswith("# ") else styles["BodyText"]
            story.append(Paragraph(text.removeprefix("# "), style))
        story.append(PageBreak())
    out = io.BytesIO()
    encrypt = StandardEncryption(password) if password else None
    SimpleDocTemplate(out, title=title, encrypt=encrypt).build(story)
    return out.getvalue()


def scanned_pdf(lines: Sequence[str]) -> bytes:
    """A page that is nothing but a picture of text."""
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(lines))).convert("RGB").save(out, "PDF")
    return out.getvalue()


def docx(blocks: Sequence[str | list[list[str]]], *, title: str = "") -> bytes:
    """Paragraphs (`# ` and `## ` for headings, `- ` for list items) and tables, in order."""
    import docx as python_docx

    document = python_docx.Document()
    document.core_properties.title = title
    for block in blocks:
        if isinstance(block, list):
            table = document.add_table(len(block), len(block[0]))
            for row, cells in zip(table.rows, block, strict=True):
                for cell, text in zip(row.cells, cells, strict=True):
                    cell.text = text
        elif block.startswith("#"):
            marks, _, text = block.partition(" ")
            document.add_heading(text, len(marks))
        elif block.startswith("- "):
            document.add_paragraph(block[2:], style="List Bullet")
        else:
            document.add_paragraph(block)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def pptx(slides: Sequence[tuple[str, Sequence[str | list[list[str]]], str]], *, title: str = "", hidden: int = 0) -> bytes:
    """Slides of a title, paragraphs and tables, and the speaker's notes. Slide `hidden`, counted from 1, is not shown."""
    from pptx import Presentation
    from pptx.util import Inches

    presentation = Presentation()
    presentation.core_properties.title = title
    for number, (heading, blocks, notes) in enumerate(slides, 1):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5 if heading else 6])
        if heading:
            slide.shapes.title.text = heading
        for place, block in enumerate(blocks, 2):
            if isinstance(block, list):
                frame = slide.shapes.add_table(len(block), len(block[0]), Inches(1), Inches(place), Inches(6), Inches(1))
                for row, cells in zip(frame.table.rows, block, strict=True):
                    for cell, text in zip(row.cells, cells, strict=True):
                        cell.text = text
            else:
                slide.shapes.add_textbox(Inches(1), Inches(place), Inches(6), Inches(1)).text_frame.text = block
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
        if number == hidden:
            slide.element.set("show", "0")
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def xlsx(sheets: Mapping[str, Sequence[Sequence[Any]]], *, hidden: str = "") -> bytes:
    """Sheets of rows, by name; `hidden` is not shown."""
    from openpyxl import Workbook

    workbook = Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
        if name == hidden:
            sheet.sheet_state = "hidden"
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def epub(chapters: Mapping[str, str], *, title: str = "", order: Sequence[str] = (), encrypted: bool = False) -> bytes:
    """Chapters by the name that the table of contents gives them, in the `order` of the spine, or as given."""
    files = {name: f"chapter%20{number}.xhtml" for number, name in enumerate(chapters)}
    items = "".join(f'<item id="{file[10]}" href="{file}" media-type="application/xhtml+xml"/>' for file in files.values())
    spine = "".join(f'<itemref idref="{files[name][10]}"/>' for name in order or chapters)
    links = "".join(f'<li><a href="{file}#top">{name}</a></li>' for name, file in files.items())
    nav = '<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
    html = '<html xmlns="http://www.w3.org/1999/xhtml">'
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>{title}</dc:title><dc:creator>Ada</dc:creator></metadata><manifest>{nav}{items}</manifest>"
        f"<spine>{spine}</spine></package>",
        "OPS/nav.xhtml": f"{html}<body><nav><ol>{links}</ol></nav></body></html>",
    }
    for name, file in files.items():
        page = f"<?xml version='1.0'?>{html}<head><title/></head><body>{chapters[name]}</body></html>"
        members[f"OPS/{file.replace('%20', ' ')}"] = page
    if encrypted:
        members["META-INF/encryption.xml"] = (
            '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod '
            'Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></enc:EncryptedData></encryption>'
        )
    return zipped(members)


def mail(text: str, *, html: str = "", attached: Mapping[str, bytes] | None = None, subject: str = "The harbour") -> bytes:
    """A mail with files, as a mail program writes it."""
    message = EmailMessage()
    message["From"] = "Ada Lovelace <ada@example.org>"
    message["To"] = "Grace Hopper <grace@example.org>"
    message["Subject"] = subject
    message["Date"] = "Tue, 03 Mar 2026 09:30:00 +0100"
    message["Message-ID"] = "<1@example.org>"
    if text:
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
    else:
        message.set_content(html, subtype="html")
    for name, data in (attached or {}).items():
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def zipped(members: Mapping[str, str | bytes], *, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive with the names as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, packing
            archive.writestr(info, content)
    return out.getvalue()


def encrypted(archive: bytes, names: Sequence[str]) -> bytes:
    """The archive with members that claim to be protected with a password."""
    data = bytearray(archive)
    for mark, flags, name_length, name_at in ((b"PK\x03\x04", 6, 26, 30), (b"PK\x01\x02", 8, 28, 46)):
        at = data.find(mark)
        while at >= 0:
            length = int.from_bytes(data[at + name_length : at + name_length + 2], "little")
            if data[at + name_at : at + name_at + length].decode() in names:
                data[at + flags] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


def tarred(members: Mapping[str, bytes], packing: str = "gz", links: Mapping[str, str] | None = None) -> bytes:
    """A TAR, packed or (empty) not, with symbolic links by what they lead to."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{packing}") as archive:  # type: ignore[call-overload]  # the packing is a variable
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return out.getvalue()


def with_document_xml(xml: str) -> bytes:
    """A real Word file whose main part is replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx(["x"]))) as good, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bad:
        for name in good.namelist():
            bad.writestr(name, xml if name == "word/document.xml" else good.read(name))
    return out.getvalue()


def bomb_docx(gigabytes: int = 4, name: str = "word/document.xml") -> bytes:
    """A Word file of a few megabytes, or by another `name` another package, that would unpack to gigabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    size, checksum, packed = gigabytes * 2**30, 0, bytearray()
    zeros = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += zeros
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # the same bytes each time after a full flush
    packed += again * (gigabytes * 1024 - 1) + packer.flush()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr(name, bytes(packed))
    data = bytearray(out.getvalue())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<H", data, at + 10, zipfile.ZIP_DEFLATED)
    struct.pack_into("<III", data, at + 16, checksum, len(packed), min(size, 0xFFFFFFFE))
    return bytes(data)
