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
