import io
from collections.abc import Callable
from typing import Any

import docx
import pytest

from core.errors import UnreadableFile
from retrievers.loaders.docx import load_docx
from retrievers.packages import check_package
from tests.retrievers import making

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def test_headings_paragraphs_lists_and_tables_come_in_order() -> None:
    data = making.docx(
        [
            "# Rules",
            "Everyone has 30 days.",
            "- plan ahead",
            [["Country", "Days"], ["Norway", "25"], ["France", "30"]],
            "## More",
            "End.",
        ],
        title="Handbook",
    )
    document = load_docx(data, "")
    found = [(s.kind, s.heading, document.text[s.start : s.end]) for s in document.sections]
    assert found == [
        ("prose", ("Rules",), "Rules\n\nEveryone has 30 days.\n\n- plan ahead"),
        ("table", ("Rules",), "Country: Norway | Days: 25\nCountry: France | Days: 30"),
        ("prose", ("Rules", "More"), "More\n\nEnd."),
    ]
    assert document.title == "Handbook"


def body(xml: str) -> str:
    return load_docx(making.with_document_xml(f"<w:document {WORD}><w:body>{xml}</w:body></w:document>"), "").text


def test_hidden_and_deleted_text_is_left_out_and_inserted_text_is_read() -> None:
    run = "<w:r>{}<w:t>{}</w:t></w:r>"
    xml = (
        "<w:p>"
        + run.format("", "seen ")
        + run.format("<w:rPr><w:vanish/></w:rPr>", "hidden ")
        + f"<w:del>{run.format('', 'deleted ')}</w:del><w:ins>{run.format('', 'inserted')}</w:ins></w:p>"
    )
    assert body(xml) == "seen inserted"


def test_text_in_content_controls_and_nested_tables_is_read() -> None:
    paragraph = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"
    inner = f"<w:tbl><w:tr><w:tc>{paragraph.format('inner')}</w:tc></w:tr></w:tbl>"
    xml = (
        f"<w:sdt><w:sdtContent>{paragraph.format('control')}</w:sdtContent></w:sdt>"
        f"<w:tbl><w:tr><w:tc>{paragraph.format('outer')}{inner}</w:tc></w:tr></w:tbl>"
    )
    assert body(xml).split() == ["control", "outer", "inner"]


def test_a_bomb_is_known_by_its_directory_alone() -> None:
    with pytest.raises(UnreadableFile) as caught:
        check_package(making.bomb_docx())
    assert caught.value.code == "file_too_complex"


CONTACTS = [["Metz", "Paul Rey", "second floor"], ["Nice", "", "vacant"]]


def table_of(rows: list[list[str]], change: Callable[[Any], object]) -> list[str]:
    """The lines of a table that is changed in a document."""
    document = docx.Document(io.BytesIO(making.docx([rows])))
    change(document.tables[0])
    out = io.BytesIO()
    document.save(out)
    return load_docx(out.getvalue(), "").text.split("\n")


def test_merged_cells_leave_the_others_under_their_own_names() -> None:
    fees = [["Course", "Adult", "Child", "Senior"], ["Chess", "free", "", "20"], ["", "9", "8", "7"]]

    def merge(table: Any) -> None:
        table.cell(1, 1).merge(table.cell(1, 2))
        table.cell(1, 0).merge(table.cell(2, 0))

    assert table_of(fees, merge) == [
        "Course: Chess | Adult: free | Child: free | Senior: 20",
        "Course: Chess | Adult: 9 | Child: 8 | Senior: 7",
    ]


def test_words_above_words_name_nothing_unless_they_are_set_off() -> None:
    assert load_docx(making.docx([CONTACTS]), "").text == "Metz | Paul Rey | second floor\nNice |  | vacant"

    def embolden(table: Any) -> None:
        for cell in table.rows[0].cells:
            cell.paragraphs[0].runs[0].bold = True

    def style(table: Any) -> None:
        table.style = "Light Grid"

    named = ["Place | Who", "Place: Nice", "Place: Metz"]
    for change in (embolden, style):
        assert table_of([["Place", "Who"], ["Nice", ""], ["Metz", ""]], change) == named
