"""Files that are large in bytes and moderate in text, as offices have them, and the memory of the whole platform while they
come in behind a model that embeds 500 texts a second.

Of each 100 MB some 55 are PDF with a photograph on each page, 15 slides and 10 letters with photographs, 15 archives of such
PDF, and the rest mail, tables, pages and plain texts, which hold most of what is embedded. Each is made when it is uploaded,
and two are on their way at a time.
"""

import io
import itertools
import random
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil

from infra import samples
from infra.bench.gateway import mock_provider
from infra.bench.promises import DOCUMENTS, proportional_memory
from infra.bench.volume import CONFIGURATION, Language
from infra.running import Running, running

PROMISED_MB = 1536.0
COLLECTION = "heavy"
_MB = 2**20
#: Side of a square photograph of noise, which no format makes smaller: some 3.4 MB as JPEG.
_SIDE = 1600
_PHOTOGRAPHS = 6
_LOOK_S = 1.0


class Memory:
    """The most that the platform's processes took together (PSS) within the block, looked at every second."""

    def __init__(self, platform: Running) -> None:
        self._platform, self._ending = platform, threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory", daemon=True)
        self.most_mb, self.looks = 0.0, 0

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ending.wait(_LOOK_S):
            try:
                self.most_mb = max(self.most_mb, proportional_memory(self._platform))
                self.looks += 1
            except psutil.NoSuchProcess:  # one that read a file has ended meanwhile
                continue


def taken(place: Path, *, megabytes: int) -> dict[str, float]:
    """Bring so much in, two files on their way at a time.

    Raises:
        AssertionError: a file was not read, or the platform took more than is promised.
    """
    place.mkdir(parents=True, exist_ok=True)
    with mock_provider() as provider:
        configuration = place / "genai.toml"
        configuration.write_text(CONFIGURATION.format(provider=provider).replace("mock-words", "mock-500"))
        settings = {"GENAI_CONFIG": str(configuration), "GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false"}
        with (
            running(place / "platform", **settings) as platform,
            platform.client(timeout_s=600) as client,
            Memory(platform) as memory,
        ):
            client.post("/api/v1/rag/collections", json={"name": COLLECTION}).raise_for_status()
            path, given, files, before = DOCUMENTS.format(COLLECTION), 0, 0, ""
            started = time.perf_counter()
            for name, data in files_of(megabytes * _MB):
                job_id = client.post(path, files=[("files", (name, data))]).raise_for_status().json()["job_id"]
                given, files = given + len(data), files + 1
                _end(platform, client, before)
                before = job_id
            _end(platform, client, before)
            took_s = time.perf_counter() - started
            chunks = client.get(f"/api/v1/rag/collections/{COLLECTION}").raise_for_status().json()["chunks"]
    figures = {"mb": given / _MB, "files": files, "chunks": chunks, "most_mb": memory.most_mb, "seconds": took_s}
    assert memory.looks > 0
    assert memory.most_mb < PROMISED_MB, figures
    return figures


def _end(platform: Running, client: httpx.Client, job_id: str) -> None:
    if job_id:
        job = platform.finished_job(client, job_id, within_s=600)
        assert (job["state"], job["errors"]) == ("succeeded", []), job


def files_of(size: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents, until they are `size` bytes together."""
    photographs, language, numbers = [_photograph(seed) for seed in range(_PHOTOGRAPHS)], Language(3), itertools.count()
    kinds: list[Callable[[], tuple[str, bytes]]] = [
        *[lambda: ("scan.pdf", _pdf(language, photographs, 8))] * 4,
        lambda: ("slides.pptx", _slides(language, photographs, 8)),
        lambda: ("letter.docx", _letter(language, photographs, 6)),
        lambda: ("bundle.zip", _bundle(language, photographs)),
        *[lambda: ("notes.txt", "\n\n".join(language.text(110) for _ in range(200)).encode())] * 4,
        lambda: ("table.csv", samples.table([("key", "text"), *((str(row), language.text(12)) for row in range(2000))])),
        lambda: ("page.html", samples.html("A page", [language.text(110) for _ in range(100)])),
        lambda: ("mail.eml", _mail(language, photographs[0])),
    ]
    order = random.Random(7)  # noqa: S311 - files, no secrets
    made = 0
    while made < size:
        name, data = order.choice(kinds)()
        yield f"{next(numbers):05}-{name}", data
        made += len(data)


def _photograph(seed: int) -> bytes:
    from PIL import Image

    noise = np.random.default_rng(seed).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=85)
    return out.getvalue()


def _pdf(language: Language, photographs: list[bytes], pages: int) -> bytes:
    """Written here, since reportlab takes seconds for a photograph. Catalogue, pages, font; of each page three objects more."""
    kids = " ".join(f"{4 + 3 * page} 0 R" for page in range(pages))
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page in range(pages):
        lines = " ".join(f"({language.text(12)}) Tj 0 -14 Td" for _ in range(14))
        drawn = f"BT /F 10 Tf 50 800 Td {lines} ET q 400 0 0 400 50 150 cm /P Do Q".encode()
        first, picture = 4 + 3 * page, photographs[page % len(photographs)]
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {first + 1} 0 R "
            f"/Resources << /Font << /F 3 0 R >> /XObject << /P {first + 2} 0 R >> >> >>".encode(),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
            b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8 "
            b"/Filter /DCTDecode /Length %d >>\nstream\n%s\nendstream" % (_SIDE, _SIDE, len(picture), picture),
        ]
    out, places = io.BytesIO(), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table))
    return out.getvalue()


def _slides(language: Language, photographs: list[bytes], number: int) -> bytes:
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    for slide_number in range(number):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = language.text(6)
        slide.shapes.add_textbox(Inches(1), Inches(1), Inches(8), Inches(2)).text_frame.text = language.text(60)
        picture = photographs[slide_number % len(photographs)] + slide_number.to_bytes(4, "big")
        slide.shapes.add_picture(io.BytesIO(picture), Inches(1), Inches(3), Inches(4))
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def _letter(language: Language, photographs: list[bytes], number: int) -> bytes:
    import docx
    from docx.shared import Inches

    letter = docx.Document()
    for part in range(number):
        letter.add_heading(language.text(4), 2)
        letter.add_paragraph(language.text(200))
        letter.add_picture(io.BytesIO(photographs[part % len(photographs)] + part.to_bytes(4, "big")), width=Inches(3))
    out = io.BytesIO()
    letter.save(out)
    return out.getvalue()


def _bundle(language: Language, photographs: list[bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number in range(3):
            archive.writestr(f"part-{number}/scan.pdf", _pdf(language, photographs, 3))
            archive.writestr(f"part-{number}/notes.md", samples.markdown("Notes", [language.text(110) for _ in range(20)]))
    return out.getvalue()


def _mail(language: Language, photograph: bytes) -> bytes:
    from email.message import EmailMessage

    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = language.text(5), "a@example.com", "b@example.com"
    mail.set_content("\n\n".join(language.text(110) for _ in range(20)))
    pages = samples.pdf([language.text(80) for _ in range(4)])
    mail.add_attachment(pages, maintype="application", subtype="pdf", filename="pages.pdf")
    mail.add_attachment(photograph, maintype="application", subtype="octet-stream", filename="photograph.bin")
    return bytes(mail)
