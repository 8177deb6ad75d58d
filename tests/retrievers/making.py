"""Files of every kind, made as callers' programs make them."""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence

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


def with_document_xml(xml: str) -> bytes:
    """A real Word file whose main part is replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx(["x"]))) as good, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bad:
        for name in good.namelist():
            bad.writestr(name, xml if name == "word/document.xml" else good.read(name))
    return out.getvalue()


def bomb_docx(gigabytes: int = 4) -> bytes:
    """A Word file of a few megabytes that would unpack to gigabytes."""
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
        archive.writestr("word/document.xml", bytes(packed))
    data = bytearray(out.getvalue())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<H", data, at + 10, zipfile.ZIP_DEFLATED)
    struct.pack_into("<III", data, at + 16, checksum, len(packed), min(size, 0xFFFFFFFE))
    return bytes(data)
