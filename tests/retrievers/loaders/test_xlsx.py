import datetime
import io
import zipfile

import pytest
from openpyxl import load_workbook

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.xlsx import load_xlsx
from tests.retrievers import making


def found(document: LoadedDocument) -> list[tuple[int | None, str, tuple[str, ...], str]]:
    return [(s.page, s.kind, s.heading, document.text[s.start : s.end]) for s in document.sections]


def test_each_sheet_is_a_page_under_its_name_and_each_block_a_table_with_its_header() -> None:
    sheets = {
        "Fees": [["Ship", "Euros"], ["Yawl", 12], ["Ketch", 15.5], [], ["Harbours"], ["Name", "Depth"], ["Vardø", 9]],
        "Notes": [["All fees are per night."]],
    }
    document = load_xlsx(making.xlsx(sheets), "")
    assert found(document) == [
        (1, "table", ("Fees",), "Fees\n\nShip: Yawl | Euros: 12\nShip: Ketch | Euros: 15.5"),
        (1, "prose", ("Fees",), "Harbours"),
        (1, "table", ("Fees",), "Name: Vardø | Depth: 9"),
        (2, "prose", ("Notes",), "Notes\n\nAll fees are per night."),
    ]
    assert document.pages == 2


def test_cells_are_read_as_they_show() -> None:
    day, moment = datetime.date(2026, 3, 1), datetime.datetime(2026, 3, 1, 9, 30)  # noqa: DTZ001 - Excel knows no zones
    rows = [["What", "Value"], ["day", day], ["moment", moment], ["yes", True], ["tenth", 0.1 + 0.2], ["whole", 3.0]]
    text = load_xlsx(making.xlsx({"A": rows}), "").text
    assert [line.partition("Value: ")[2] for line in text.splitlines()[2:]] == [
        "2026-03-01",
        "2026-03-01 09:30:00",
        "TRUE",
        "0.3",
        "3",
    ]


def test_a_share_is_shown_in_percent() -> None:
    from openpyxl import Workbook

    workbook = Workbook()
    workbook.active.append(["rate", 0.255])
    workbook.active["B1"].number_format = "0.0%"
    out = io.BytesIO()
    workbook.save(out)
    assert "25.5%" in load_xlsx(out.getvalue(), "").text


def test_a_hidden_sheet_is_left_out_and_counted() -> None:
    document = load_xlsx(making.xlsx({"A": [["seen"]], "B": [["secret"]], "C": [["last"]]}, hidden="B"), "")
    assert [(page, text) for page, _, _, text in found(document)] == [(1, "A\n\nseen"), (3, "C\n\nlast")]


def with_sheet(xml: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(making.xlsx({"A": [["x"]]}))) as good, zipfile.ZipFile(out, "w", 8) as bad:
        for name in good.namelist():
            bad.writestr(name, xml if name == "xl/worksheets/sheet1.xml" else good.read(name))
    return out.getvalue()


SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def test_a_sheet_whose_cells_lie_far_apart_costs_little() -> None:
    cell = '<c r="{0}{1}" t="inlineStr"><is><t>{0}</t></is></c>'
    rows = f'<row r="1">{cell.format("A", 1)}</row><row r="90000">{cell.format("XFD", 90000)}</row>'
    text = load_xlsx(with_sheet(f"<worksheet {SHEET}><sheetData>{rows}</sheetData></worksheet>"), "").text
    assert text == "A\n\nA\n\nXFD"


def test_entities_are_not_expanded() -> None:
    laughs = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    row = '<row r="1"><c r="A1" t="inlineStr"><is><t>&j;</t></is></c></row>'
    bomb = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{laughs}]><worksheet {SHEET}><sheetData>{row}</sheetData></worksheet>'
    with pytest.raises(UnreadableFile) as caught:
        load_xlsx(with_sheet(bomb), "")
    assert caught.value.code == "corrupt_file"


def test_a_sheet_that_packs_too_tightly_is_refused() -> None:
    with pytest.raises(UnreadableFile) as caught:
        load_xlsx(with_sheet(f"<worksheet {SHEET}><sheetData>{'<row/>' * 4_000_000}</sheetData></worksheet>"), "")
    assert caught.value.code == "file_too_complex"


def test_merged_names_stand_above_each_of_their_columns_and_merged_cells_in_each_of_their_rows() -> None:
    workbook = load_workbook(
        io.BytesIO(
            making.xlsx(
                {
                    "Sales": [
                        ["Region", "January", None, "May"],
                        [None, "Units", "Euros", "Units"],
                        ["North", 10, 1000, 20],
                        [None, 11, 1100, 21],
                        [],
                        ["South", 12, 1200, 22],
                    ]
                }
            )
        )
    )
    for merged in ("A1:A2", "B1:C1", "A3:A5"):
        workbook["Sales"].merge_cells(merged)
    out = io.BytesIO()
    workbook.save(out)
    assert load_xlsx(out.getvalue(), "").text.split("\n")[2:] == [
        "Region: North | January Units: 10 | January Euros: 1000 | May Units: 20",
        "Region: North | January Units: 11 | January Euros: 1100 | May Units: 21",
        "Region: South | January Units: 12 | January Euros: 1200 | May Units: 22",
    ]


def test_a_first_row_of_words_above_words_is_a_row() -> None:
    rows = [["Reception", "Ms Adler", "ground floor"], ["Archive", None, "basement"]]
    assert load_xlsx(making.xlsx({"House": rows}), "").text.split("\n")[2:] == [
        "Reception | Ms Adler | ground floor",
        "Archive |  | basement",
    ]
