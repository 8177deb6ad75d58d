import io
from typing import Any

import pytest

from retrievers.base import LoadedDocument, Section
from retrievers.loaders.pdf import load_pdf, with_page_texts
from tests.retrievers import making

LONG = "The quick brown fox jumps over the lazy dog, and then it returns to the long road home. " * 5


def test_pages_headings_and_paragraphs_are_told() -> None:
    document = load_pdf(making.pdf([["# Rules", LONG, LONG], ["Second page."]], title="Manual"), "")
    found = [(s.page, s.heading, document.text[s.start : s.end]) for s in document.sections]
    assert found == [
        (1, ("Rules",), f"Rules\n\n{LONG.strip()}\n\n{LONG.strip()}"),
        (2, ("Rules",), "Second page."),
    ]
    assert (document.pages, document.title, document.unread_pages) == (2, "Manual", ())


def test_a_line_that_begins_with_the_number_that_ends_a_sentence_is_no_item_of_a_list() -> None:
    call = "If the machine shows an error that is not told in this list, call 0800 555"
    told = "010. Error E7 means that the heater is defective, and must be renewed soon."
    items = ["Do this:", "1. Open the lid of the machine, and let the water run off until it is dry", "2. Close it"]
    document = load_pdf(making.pdf([[f"{call}<br/>{told}"], ["<br/>".join(items)]]), "")
    assert document.text == "\n\n".join([f"{call} {told}", *items])


def test_a_page_that_is_a_picture_is_still_to_be_read() -> None:
    document = load_pdf(making.scanned_pdf(["x"]), "")
    assert (document.text, document.unread_pages) == ("", (1,))


def test_an_empty_page_is_nothing_to_read() -> None:
    document = load_pdf(making.pdf([["one"], [], ["three"]]), "")
    assert document.unread_pages == ()


def test_what_ocr_read_stands_where_its_page_is() -> None:
    text = "first\n\nstamp\n\nthird"
    sections = (Section(0, 5, 1, ("A",)), Section(7, 12, 2), Section(14, 19, 3, ("B",)))
    document = LoadedDocument(text, "application/pdf", sections, pages=4, unread_pages=(2, 4))
    merged = with_page_texts(document, {2: "the scanned page\x00", 4: "the last"})
    assert merged.text == "first\n\nthe scanned page\n\nthird\n\nthe last"
    assert [(s.page, s.heading, merged.text[s.start : s.end]) for s in merged.sections] == [
        (1, ("A",), "first"),
        (2, (), "the scanned page"),
        (3, ("B",), "third"),
        (4, (), "the last"),
    ]
    assert merged.unread_pages == ()


def test_ocr_that_reads_less_than_the_text_layer_changes_nothing() -> None:
    document = LoadedDocument("text layer", "application/pdf", (Section(0, 10, 1),), pages=1, unread_pages=(1,))
    assert with_page_texts(document, {1: "te"}).text == "text layer"


def table_pdf(*tables: list[list[str]], ruled: bool = True, bold: bool = False, padding: float = 6) -> bytes:
    """A heading, and tables with text above and below, as a report has them."""
    from reportlab.lib import colors
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

    styles = getSampleStyleSheet()
    story = [Paragraph("Fees", styles["Heading1"])]
    for rows in tables:
        grid: list[tuple[Any, ...]] = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)] if ruled else []
        grid += [(f"{side}PADDING", (0, 0), (-1, -1), padding) for side in ("LEFT", "RIGHT")]
        grid += [("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold")] if bold else []
        story += [Paragraph(LONG, styles["BodyText"]), Table(rows, style=grid)]
    story.append(Paragraph(LONG, styles["BodyText"]))
    out = io.BytesIO()
    SimpleDocTemplate(out).build(story)
    return out.getvalue()


ROWS = [["Ship", "Length", "Euros"], ["Yawl", "9 m", "12"], ["Fishing boat", "", "15"], ["Ketch", "14 m", "18"]]


@pytest.mark.parametrize("ruled", [True, False])
def test_a_table_is_read_row_by_row_with_the_names_of_its_columns(ruled: bool) -> None:
    document = load_pdf(table_pdf(ROWS, ruled=ruled), "")
    (table,) = [section for section in document.sections if section.kind == "table"]
    assert document.text[table.start : table.end].splitlines() == [
        "Ship: Yawl | Length: 9 m | Euros: 12",
        "Ship: Fishing boat | Euros: 15",
        "Ship: Ketch | Length: 14 m | Euros: 18",
    ]
    assert (table.page, table.heading) == (1, ("Fees",))
    assert document.text.count(LONG.strip()) == 2


def test_cells_that_stand_close_are_told_apart_by_the_rows_above_and_below() -> None:
    rows = [["Property", "B 310", "B 310 Pro"], ["Power", "1,350 W", "1,850 W"], ["Pump pressure", "15 bar", "19 bar"]]
    rows += [["Weight", "6.4 kg", "8.1 kg"], ["Warranty", "24 months", "36 months"]]
    document = load_pdf(table_pdf(rows, bold=True, padding=2), "")
    (table,) = [section for section in document.sections if section.kind == "table"]
    assert document.text[table.start : table.end].splitlines() == [
        f"Property: {name} | B 310: {one} | B 310 Pro: {other}" for name, one, other in rows[1:]
    ]


def test_two_tables_stay_apart_and_one_of_two_columns_needs_three_rows() -> None:
    document = load_pdf(table_pdf(ROWS, [["Harbour", "Depth"], ["Vardø", "9"], ["Bodø", "7"]]), "")
    tables = [document.text[s.start : s.end] for s in document.sections if s.kind == "table"]
    assert len(tables) == 2
    assert tables[1] == "Harbour: Vardø | Depth: 9\nHarbour: Bodø | Depth: 7"


def test_text_that_is_set_in_columns_is_no_table() -> None:
    words = LONG.split()
    rows = [[" ".join(words[n : n + 9]), " ".join(words[n + 9 : n + 18])] for n in range(0, 54, 18)]
    document = load_pdf(table_pdf(rows, ruled=False), "")
    assert [section for section in document.sections if section.kind == "table"] == []


def test_a_first_row_of_words_above_words_is_a_row_unless_it_is_bold() -> None:
    contacts = [["Reception", "Ms Adler", "ground floor"], ["Archive", "", "basement"], ["Canteen", "", "basement"]]
    assert "Reception | Ms Adler | ground floor\nArchive |  | basement\n" in load_pdf(table_pdf(contacts), "").text
    named = load_pdf(table_pdf([["Room", "Head"], ["Bar", "Eva"], ["Spa", "Jo"]], bold=True), "").text
    assert "Room: Bar | Head: Eva\nRoom: Spa | Head: Jo" in named
