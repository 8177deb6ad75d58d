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
