import io
import time
import zipfile

import pytest

from core.errors import UnreadableFile
from retrievers import LOADERS
from retrievers.packages import DOCX, EPUB, MAIL, PPTX, XLSX
from retrievers.sniffing import SOURCE, language_of, sniff
from tests.retrievers import making

STAFF = b"name,role,since\nAda,engineer,2019\nGrace,admiral,1952\n"
LEASE = b"# Lease\n\nThe rent, in full, is 1,240 euros.\n\n## Notice\n\nNinety days, in writing.\n"


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (b"plain words", "a.txt", "text/plain"),
        (b"plain words", "", "text/plain"),
        (b"plain words", "photo.png", "text/plain"),
        (b"# Title", "a.md", "text/markdown"),
        (b"<div align=center>a readme</div>", "README.md", "text/markdown"),
        (b"a,b\n1,2", "a.CSV", "text/csv"),
        (b'{"a": 1}', "a.json", "application/json"),
        (b'{"a": 1}', "", "application/json"),
        (b'{"a": 1}\n{"a": 2}', "a.jsonl", "application/json"),
        (STAFF, "b.dat", "text/csv"),
        (STAFF, "m.md", "text/csv"),
        (STAFF, "i.json", "text/csv"),
        (STAFF, "wrong.pdf", "text/csv"),
        (STAFF.replace(b",", b"\t"), "t.txt", "text/csv"),
        (b"name\nAda\nGrace\n", "one-column.csv", "text/csv"),
        (LEASE, "g.csv", "text/markdown"),
        (LEASE, "lease", "text/markdown"),
        (LEASE, "lease.json", "text/markdown"),
        (
            b"The rent, which is due, is high.\nIt rises, as told, each year.\nPets, but no dogs, may stay, of course.\n",
            "a.csv",
            "text/plain",
        ),
        (b"Dear Ada,\nthank you,\nGrace\n", "letter", "text/plain"),
        (b"| a | b |\n|---|---|\n| 1 | 2 |\n", "t.md", "text/markdown"),
        (b'{"a": 1}', "f.md", "application/json"),
        (b'[{"a": 1}]', "f.txt", "application/json"),
        (b'{"a": 1}\n{"a": 2}', "lines.log", "application/json"),
        (b'{"a": 1', "broken.json", "application/json"),
        (b"{a note in braces}", "a.txt", "text/plain"),
        (b"print(1)", "a.py", SOURCE),
        (b"FROM scratch", "Dockerfile", SOURCE),
        (b"#!/usr/bin/env python3\nprint(1)", "tool", SOURCE),
        (b"<?xml version='1.0'?><rss/>", "feed", SOURCE),
        (b"<!DOCTYPE html><p>x", "page.txt", "text/html"),
        (b"<!-- c --><!-- d --> <html><p>x", "page", "text/html"),
        (b"<?xml version='1.0'?><!DOCTYPE html><html/>", "page", "text/html"),
        (b"a <b>fragment</b>", "a.html", "text/html"),
        ("Grüße".encode("utf-16"), "a.txt", "text/plain"),
        ("Привет, мир, как дела у вас сегодня".encode("utf-16-be"), "a.txt", "text/plain"),  # noqa: RUF001 - Russian is meant
        (making.pdf([["x"]]), "a.txt", "application/pdf"),
        (b"leading words\n" + making.pdf([["x"]]), "a.txt", "application/pdf"),
        (b"leading words\n%PDF-1.4\n1 0 obj\n<< >>\nendobj\n", "a.pdf", "application/pdf"),
        (b"# PDF notes\n\nEvery PDF file begins with %PDF-1.7 and ends with %%EOF.", "notes.md", "text/markdown"),
        (b"def is_pdf(head): return head.startswith(b'%PDF-')", "sniff.py", SOURCE),
        (b"The mark of a file in the portable format is:\n%PDF-1.7\n", "a.txt", "text/plain"),
        (making.docx(["x"]), "a.pdf", DOCX),
        (making.pptx([("x", [], "")]), "a.zip", PPTX),
        (making.xlsx({"a": [["x"]]}), "a.docx", XLSX),
        (making.epub({"One": "x"}), "", EPUB),
        (making.mail("x"), "a.txt", MAIL),
        (b"Subject: short\n\nx", "a.eml", MAIL),
        (b"From: Ada\nTo: Grace\nDate: today\n\na note\n", "note.txt", "text/plain"),
        (b"From: the start\nMIME-Version: none\n", "a.txt", "text/plain"),
        (making.zipped({"x.txt": "x"}), "a.docx", "application/zip"),
        (making.zipped({"x.pdf": making.pdf([["x"]])}, packing=0), "a.pdf", "application/zip"),
        (making.tarred({"x.pdf": making.pdf([["x"]])}, ""), "a.pdf", "application/x-tar"),
        (making.tarred({"x": b"x"}), "", "application/gzip"),
        (making.tarred({"x": b"x"}, "bz2"), "", "application/x-bzip2"),
        (making.tarred({"x": b"x"}, "xz"), "", "application/x-xz"),
        (b"BZh was the name of a bakery.", "a.txt", "text/plain"),
        (making.picture(["x"]), "a.txt", "image/png"),
        (making.picture(["x"], "JPEG"), "", "image/jpeg"),
        (making.picture(["x"], "WEBP"), "", "image/webp"),
        (making.picture(["x"], "GIF"), "", "image/gif"),
    ],
    ids=lambda given: "data" if isinstance(given, bytes) else given,  # the packed ones hold the time
)
def test_the_content_says_what_a_file_is_and_the_name_only_which_text(data: bytes, name: str, media_type: str) -> None:
    assert sniff(data, name) == media_type
    assert media_type in LOADERS


def archive(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, "x")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "a.txt", "empty_file"),
        (b"MZ\x90\x00" + bytes(range(256)) * 20, "a.txt", "unsupported_file_type"),
        (bytes(range(256)) * 100, "a.md", "unsupported_file_type"),
        (archive("xl/workbook.bin"), "a.xlsx", "unsupported_file_type"),
        (archive("META-INF/MANIFEST.MF"), "a.zip", "unsupported_file_type"),
        (making.zipped({"mimetype": "application/vnd.oasis.opendocument.text"}), "a.odt", "unsupported_file_type"),
        (making.encrypted(making.zipped({"a": "x"}), ["a"]), "a.zip", "encrypted_file"),
        (b"{\\rtf1 hello}", "a.txt", "unsupported_file_type"),
        (b"PK\x03\x04" + bytes(1000), "a.docx", "corrupt_file"),
        (making.docx(["x"])[:3000], "a.docx", "corrupt_file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.doc", "legacy_format"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "a.docx", "encrypted_file"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, name: str, code: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        sniff(data, name)
    assert caught.value.code == code


def test_a_message_names_the_kind_of_file() -> None:
    with pytest.raises(UnreadableFile, match="binary Excel"):
        sniff(archive("xl/workbook.bin"), "a")


@pytest.mark.parametrize(
    ("stream", "kind", "successor"),
    [
        ("WordDocument", "Word", ".docx"),
        ("Workbook", "Excel", ".xlsx"),
        ("PowerPoint Document", "PowerPoint", ".pptx"),
        ("__substg1.0_0037001F", "Outlook", ".eml"),
    ],
)
def test_a_file_of_an_older_format_says_what_to_save_it_as(stream: str, kind: str, successor: str) -> None:
    with pytest.raises(UnreadableFile, match=kind) as caught:
        sniff(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + stream.encode("utf-16-le"), "a.docx")
    assert f"Save it as {successor}," in caught.value.message
    assert caught.value.code == "legacy_format"


@pytest.mark.parametrize("data", [b"<!---->" * 200_000, b"<!--" * 200_000, b" " * 2_000_000, b"<" * 2_000_000, b"[" * 60_000])
def test_hostile_text_costs_no_time(data: bytes) -> None:
    started = time.process_time()
    for name in ("", "a.html", "a.md", "a.json"):
        sniff(data, name)
    assert time.process_time() - started < 2


def test_a_language_is_known_by_extension_name_or_first_line() -> None:
    assert language_of("src/main.RS") == "rust"
    assert language_of("a\\Makefile") == "make"
    assert language_of("run", "#!/bin/bash\n") == "bash"
    assert language_of("notes.txt", "#!/bin/bash\n") is None
