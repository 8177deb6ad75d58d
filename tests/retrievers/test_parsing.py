import asyncio
import gzip
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.child import close_children
from core.errors import UnreadableFile
from core.settings import JobSettings, Settings
from retrievers import LOADERS
from retrievers.base import LoadedDocument
from retrievers.parsing import ARCHIVE_FOUND, load, parse, render_page, unpack
from tests.retrievers import making

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


@pytest.fixture(scope="module", autouse=True)
def _no_children_left() -> Iterator[None]:
    yield
    close_children()


GOOD = {
    "text/plain": (b"The crew is thirteen.", "a.txt"),
    "text/markdown": (b"# Ship\n\nThe crew is thirteen.", "a.md"),
    "text/x-source": (b"crew = 'thirteen'", "a.py"),
    "text/html": (b"<html><p>The crew is thirteen.</p>", "a.html"),
    "text/csv": (b"crew,size\nthirteen,1", "a.csv"),
    "application/json": (b'{"crew": "thirteen"}', "a.json"),
    "application/pdf": (making.pdf([["The crew is thirteen."]]), "a.pdf"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (making.docx(["The crew is thirteen."]), "a"),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": (
        making.pptx([("Crew", ["The crew is thirteen."], "")]),
        "a",
    ),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (making.xlsx({"Crew": [["thirteen"]]}), "a"),
    "application/epub+zip": (making.epub({"Crew": "<p>The crew is thirteen.</p>"}), "a"),
    "message/rfc822": (making.mail("The crew is thirteen."), "a"),
    "application/zip": (making.zipped({"a.txt": "The crew is thirteen."}), "a"),
    "application/x-tar": (making.tarred({"a.txt": b"The crew is thirteen."}, ""), "a"),
    "application/gzip": (making.tarred({"a.txt": b"The crew is thirteen."}), "a"),
    "application/x-bzip2": (making.tarred({"a.txt": b"The crew is thirteen."}, "bz2"), "a"),
    "application/x-xz": (making.tarred({"a.txt": b"The crew is thirteen."}, "xz"), "a"),
    "image/png": (making.picture(["The crew is thirteen."]), "a.png"),
    "image/jpeg": (making.picture(["The crew is thirteen."], "JPEG"), "a.jpg"),
    "image/webp": (making.picture(["The crew is thirteen."], "WEBP"), "a.webp"),
    "image/gif": (making.picture(["The crew is thirteen."], "GIF"), "a.gif"),
}


def test_every_loader_is_covered_here() -> None:
    assert set(GOOD) == set(LOADERS)


@pytest.mark.parametrize("media_type", GOOD)
async def test_a_file_of_every_kind_is_read_with_sections_that_hold_its_text(media_type: str, settings: Settings) -> None:
    data, name = GOOD[media_type]
    document = await parse(data, name, settings=settings)
    assert document.media_type == media_type
    assert "thirteen" in document.text
    covered = "".join(document.text[section.start : section.end] for section in document.sections)
    assert "".join(covered.split()) == "".join(document.text.split())
    assert [section.start for section in document.sections] == sorted(section.start for section in document.sections)


async def test_a_path_is_read_in_the_child(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"words in a file")
    assert (await parse(path, "a.txt", settings=settings)).text == "words in a file"


async def test_scanned_pages_are_read_by_ocr_and_keep_their_page_number(settings: Settings) -> None:
    document = await parse(making.scanned_pdf(["Invoice 4711"]), "scan.pdf", settings=settings)
    assert "4711" in document.text
    assert document.pages == 1
    assert [section.page for section in document.sections] == [1]
    assert not document.unread_pages


HOSTILE = {
    "empty": (b"", "a.txt", "empty_file"),
    "blank": (b" \n\t ", "a.txt", "no_text_found"),
    "png of 30,000 x 30,000": (making.huge_png(), "a.png", "image_too_large"),
    "png cut off": (making.picture(["x"])[:300], "a.png", "corrupt_file"),
    "picture without text": (making.picture([]), "a.png", "no_text_found"),
    "docx of 4 GB": (making.bomb_docx(), "a.docx", "file_too_complex"),
    "docx cut off": (making.docx(["x"])[:9000], "a.docx", "corrupt_file"),
    "pdf cut off": (making.pdf([["x"]])[:700], "a.pdf", "corrupt_file"),
    "pdf cut in its last bytes": (making.pdf([["x " * 3000]])[:-60], "a.pdf", "corrupt_file"),
    "pdf of nothing": (b"%PDF-1.7\n%%EOF", "a.pdf", "corrupt_file"),
    "pdf encrypted": (making.pdf([["x"]], password="secret"), "a.pdf", "encrypted_file"),
    "json nested 60,000 deep": (b"[" * 60_000 + b"]" * 60_000, "a.json", "file_too_complex"),
    "json objects nested 60,000 deep": (b'{"a":' * 60_000 + b"1" + b"}" * 60_000, "a.json", "file_too_complex"),
    "html nested 60,000 deep": (b"<html>" + b"<div>" * 60_000 + b"x", "a.html", "file_too_complex"),
    "program": (b"\x7fELF" + bytes(500), "a.txt", "unsupported_file_type"),
    "billion laughs": (
        making.with_document_xml(
            '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
            + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
            + f"]><w:document {WORD}><w:body><w:p><w:r><w:t>&j;</w:t></w:r></w:p></w:body></w:document>"
        ),
        "a.docx",
        "corrupt_file",
    ),
    "pptx of 4 GB": (making.bomb_docx(name="ppt/presentation.xml"), "a.pptx", "file_too_complex"),
    "xlsx of 4 GB": (making.bomb_docx(name="xl/workbook.xml"), "a.xlsx", "file_too_complex"),
    "epub of 4 GB": (making.bomb_docx(name="META-INF/container.xml"), "a.epub", "file_too_complex"),
    "tar.gz packed to a thousandth": (gzip.compress(making.tarred({"zeros": bytes(12 * 2**20)}, "")), "a", "file_too_complex"),
    "docx nested deep": (
        making.with_document_xml(
            f"<w:document {WORD}><w:body>{'<w:sdt><w:sdtContent>' * 20_000}<w:p/>{'</w:sdtContent></w:sdt>' * 20_000}"
            "</w:body></w:document>"
        ),
        "a.docx",
        "corrupt_file",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_file_is_refused_fast_and_costs_this_process_little(kind: str, settings: Settings) -> None:
    data, name, code = HOSTILE[kind]
    await parse(b"a warm child", "a.txt", settings=settings)
    process = psutil.Process()
    before, started = process.memory_info().rss, time.perf_counter()
    with pytest.raises(UnreadableFile) as caught:
        await parse(data, name, settings=settings)
    assert caught.value.code == code
    assert time.perf_counter() - started < 20  # far from the minutes that they would take
    assert process.memory_info().rss - before < 50 * 2**20


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the-secret")
    xml = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]>'
        f"<w:document {WORD}><w:body><w:p><w:r><w:t>before &e; after</w:t></w:r></w:p></w:body></w:document>"
    )
    assert "the-secret" not in load(making.with_document_xml(xml), "a.docx").text


async def test_pages_of_files_within_files_are_drawn_for_a_model_that_sees(settings: Settings) -> None:
    data = making.zipped({"a.txt": "x", "in/m.eml": making.mail("x", attached={"scan.pdf": making.scanned_pdf(["Berth 88"])})})
    document = await parse(data, "a.zip", settings=settings)
    assert "88" in document.text
    media_type, picture = await render_page(data, "application/zip", 3, settings=settings)
    assert (media_type, picture[:4]) == ("image/png", b"\x89PNG")
    with pytest.raises(UnreadableFile):
        await render_page(data, "application/zip", 9, settings=settings)


async def test_an_archive_is_told_where_its_members_are_to_be_apart(settings: Settings) -> None:
    with pytest.raises(UnreadableFile) as caught:
        await parse(making.zipped({"a.txt": "words"}), "a.zip", settings=settings, apart=True)
    assert caught.value.code == ARCHIVE_FOUND


async def test_an_archive_is_unpacked_in_a_child_within_its_time_and_memory(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.xz"
    archive.write_bytes(making.tarred({"a.txt": b"words", "big": random.Random(1).randbytes(40 * 2**20)}, ""))
    narrow = Settings.load(data_dir=tmp_path, jobs=JobSettings(parse_memory_bytes=48 * 2**20))
    with pytest.raises(UnreadableFile) as caught:
        await unpack(archive, "a.tar.xz", tmp_path, settings=narrow, path_bytes=100)
    assert caught.value.code == "file_too_complex"
    hasty = Settings.load(data_dir=tmp_path, jobs=JobSettings(parse_timeout_s=0.001))
    with pytest.raises(UnreadableFile) as caught:
        await unpack(archive, "a.tar.xz", tmp_path, settings=hasty, path_bytes=100)
    assert caught.value.code == "file_too_complex"


async def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, jobs=JobSettings(parse_timeout_s=0.5))
    many = making.with_document_xml(
        f"<w:document {WORD}><w:body>{'<w:p><w:r><w:t>x</w:t></w:r></w:p>' * 200_000}</w:body></w:document>"
    )
    with pytest.raises(UnreadableFile) as caught:
        await parse(many, "a.docx", settings=settings)
    assert caught.value.code == "file_too_complex"


def test_a_child_that_parses_loads_no_database() -> None:
    probe = "import sys, retrievers.parsing; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_a_file_that_takes_too_much_memory_is_given_up_and_the_next_one_is_read(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, jobs=JobSettings(parse_memory_bytes=128 * 2**20))
    with pytest.raises(UnreadableFile) as caught:
        await parse(b"[" + b"[]," * 3_000_000 + b"[]]", "a.json", settings=settings)
    assert caught.value.code == "file_too_complex"
    assert (await parse(b"still here", "a.txt", settings=settings)).text == "still here"


async def test_more_pictures_than_are_read_is_refused(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, jobs=JobSettings(ocr_pages=0))
    with pytest.raises(UnreadableFile) as caught:
        await parse(making.scanned_pdf(["x"]), "a.pdf", settings=settings)
    assert caught.value.code == "file_too_complex"


async def test_files_are_read_at_once_without_mixing(settings: Settings) -> None:
    texts = [f"document number {number}" for number in range(12)]
    documents = await asyncio.gather(*(parse(text.encode(), "a.txt", settings=settings) for text in texts))
    assert [document.text for document in documents] == texts
    assert all(isinstance(document, LoadedDocument) for document in documents)


async def test_a_page_is_drawn_for_a_model_that_sees(settings: Settings) -> None:
    media_type, data = await render_page(making.pdf([["x"]]), "application/pdf", 1, settings=settings)
    assert (media_type, data[:4]) == ("image/png", b"\x89PNG")
    with pytest.raises(UnreadableFile):
        await render_page(making.pdf([["x"]]), "application/pdf", 9, settings=settings)
