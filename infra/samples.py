"""Documents with known facts in every format that the platform reads, made here rather than kept as files."""

import csv
import io
import json
from collections.abc import Iterable

#: A question, words that its answer must hold, and where the fact stands.
FACTS = (
    ("What is the maximum depth of the Lumen probe?", "4,200 metres"),
    ("Who calibrates the pressure sensors?", "Ines Okafor"),
    ("How often must the seals be replaced?", "eleven months"),
)

MANUAL = (
    "Lumen probe: operating manual",
    "The Lumen probe is an autonomous instrument for surveys of the sea floor. Its maximum depth is 4,200 metres. "
    "Below that depth the hull may fail without warning.",
    "The pressure sensors of the Lumen probe are calibrated by Ines Okafor in the workshop at Bergen harbour.",
    "The seals must be replaced every eleven months, or after forty dives, whichever comes first.",
)
OFF_TOPIC_QUESTION = "Which composer wrote the opera about the flying elephant king?"


def pdf(pages: Iterable[str], *, title: str | None = None) -> bytes:
    """A PDF with a text layer, a page for each text; its title, where one is given, is in its metadata."""
    from reportlab.lib.pagesizes import A5
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate

    style = getSampleStyleSheet()["BodyText"]
    flow: list[Flowable] = []
    for text in pages:
        flow += [Paragraph(text, style), PageBreak()]
    out = io.BytesIO()
    SimpleDocTemplate(out, pagesize=A5, invariant=True, title=title).build(flow)
    return out.getvalue()


def docx(heading: str, paragraphs: Iterable[str]) -> bytes:
    """A Word document."""
    import docx as python_docx

    document = python_docx.Document()
    document.add_heading(heading, 1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def markdown(heading: str, paragraphs: Iterable[str]) -> bytes:
    """A Markdown file."""
    return "\n\n".join([f"# {heading}", *paragraphs, ""]).encode()


def html(heading: str, paragraphs: Iterable[str]) -> bytes:
    """A page with a script in it, which is no text."""
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    page = f"<!doctype html><html><head><title>{heading}</title><script>var never = 1</script></head>"
    return f"{page}<body><h1>{heading}</h1>{body}</body></html>".encode()


def table(rows: Iterable[tuple[str, ...]]) -> bytes:
    """A CSV file; the first row is its header."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def picture(text: str, size: tuple[int, int] = (640, 160)) -> bytes:
    """A PNG with the text on it, large enough for OCR."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((20, size[1] // 3), text, fill="black", font=ImageFont.load_default(36))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def one_of_each() -> dict[str, bytes]:
    """A small file of every kind, by name; each holds a fact of its own."""
    return {
        "probe.txt": "\n\n".join(MANUAL).encode(),
        "crew.md": markdown("Crew", ["The captain of the survey ship Halcyon is Tomas Lindqvist."]),
        "harbour.html": html("Harbour", ["The crane at quay nine lifts loads of up to 35 tonnes."]),
        "budget.pdf": pdf(["The annual budget.", "The survey of the northern trench cost 610,000 euros in 2023."]),
        "safety.docx": docx("Safety", ["The muster station for all passengers is the aft deck beside the green lifeboat."]),
        "dives.csv": table([("dive", "site", "depth_m"), ("D-17", "Storegga", "812"), ("D-18", "Mohns Ridge", "2540")]),
        "settings.json": json.dumps({"winch": {"cable_length_m": 6800, "maker": "Nordhavn Winches"}}).encode(),
        "ballast.py": b"def release_ballast(kilograms: float) -> float:\n    '''Drop ballast.'''\n    return kilograms\n",
    }


def many(count: int, words: int = 120) -> dict[str, bytes]:
    """Files that differ, each with a word of its own (`marker00017`) by which it is found."""
    filler = "The crew recorded temperature, salinity and current at every station along the planned transect of the survey."
    files = {}
    for number in range(count):
        sentences = [filler] * max(1, words // 18)
        sentences.insert(len(sentences) // 2, f"Station report marker{number:05d} notes {number * 7 % 101} sightings of krill.")
        files[f"reports/station-{number:05d}.txt"] = "\n\n".join(sentences).encode()
    return files
