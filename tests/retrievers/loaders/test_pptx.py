import io

import pytest
from pptx import Presentation

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.pptx import load_pptx
from tests.retrievers import making


def found(document: LoadedDocument) -> list[tuple[int | None, str, tuple[str, ...], str]]:
    return [(s.page, s.kind, s.heading, document.text[s.start : s.end]) for s in document.sections]


def test_each_slide_is_a_page_under_its_title_with_tables_and_notes() -> None:
    data = making.pptx(
        [
            ("Harbour plan", ["The quay is 90 m long."], "Mention the tide."),
            ("Fees", [[["Ship", "Euros"], ["Yawl", "12"], ["Ketch", "15"]]], ""),
            ("", ["No title here."], ""),
        ],
        title="Harbour",
    )
    document = load_pptx(data, "")
    assert found(document) == [
        (1, "prose", ("Harbour plan",), "Harbour plan\n\nThe quay is 90 m long.\n\nNotes: Mention the tide."),
        (2, "table", ("Fees",), "Fees\n\nShip: Yawl | Euros: 12\nShip: Ketch | Euros: 15"),
        (3, "prose", (), "No title here."),
    ]
    assert (document.title, document.pages) == ("Harbour", 3)


def test_a_hidden_slide_is_left_out_and_counted() -> None:
    document = load_pptx(making.pptx([("One", [], ""), ("Two", ["secret"], ""), ("Three", [], "")], hidden=2), "")
    assert [(page, text) for page, _, _, text in found(document)] == [(1, "One"), (3, "Three")]
    assert document.pages == 3


def test_text_in_groups_lists_and_charts_is_read() -> None:
    from pptx import Presentation
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[6])
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 9999, 9999).text_frame.text = "first\nsecond"
    numbers = CategoryChartData()
    numbers.categories = ["2024", "2025"]
    numbers.add_series("Ships", (3, 4.5))
    slide.shapes.add_chart(XL_CHART_TYPE.LINE, 0, 0, Inches(2), Inches(2), numbers)
    out = io.BytesIO()
    presentation.save(out)
    assert load_pptx(out.getvalue(), "").text == "- first\n- second\n\n2024 | Ships: 3\n2025 | Ships: 4.5"


def test_a_damaged_presentation_says_so() -> None:
    good = making.pptx([("One", [], "")])
    with pytest.raises(UnreadableFile) as caught:
        load_pptx(good.replace(b"ppt/slides/slide1.xml", b"ppt/slides/slide7.xml"), "")
    assert caught.value.code == "corrupt_file"


def test_merged_cells_stand_in_each_place_and_no_first_row_is_lost() -> None:
    fees = [["Course", "Adult", "Child"], ["Chess", "12", ""], ["", "9", "8"]]
    presentation = Presentation(io.BytesIO(making.pptx([("Fees", [fees], "")])))
    table = next(shape.table for shape in presentation.slides[0].shapes if shape.has_table)
    table.cell(1, 1).merge(table.cell(1, 2))
    table.cell(1, 0).merge(table.cell(2, 0))
    out = io.BytesIO()
    presentation.save(out)
    assert load_pptx(out.getvalue(), "").text.split("\n")[2:] == [
        "Course: Chess | Adult: 12 | Child: 12",
        "Course: Chess | Adult: 9 | Child: 8",
    ]
    contacts = [["Reception", "Ms Adler"], ["Archive", ""], ["Canteen", ""]]
    assert "Ms Adler" in load_pptx(making.pptx([("House", [contacts], "")]), "").text
