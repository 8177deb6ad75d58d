from datetime import UTC, datetime
from io import BytesIO

import pytest

from retrievers.loaders.properties import of_core, pdf_date, properties
from retrievers.loaders.xlsx import load_xlsx


def workbook() -> bytes:
    from openpyxl import Workbook

    made = Workbook()
    made.active.title = "Prices"
    made.active.append(["Pump", "12"])
    made.create_sheet("Stock").append(["Valve", "3"])
    made.properties.creator, made.properties.created = "Ada", datetime(2024, 5, 31, 10, tzinfo=UTC).replace(tzinfo=None)
    written = BytesIO()
    made.save(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("pdf", "moment"),
    [
        ("D:20240531120000+02'00'", "2024-05-31T10:00:00Z"),
        ("D:2024", "2024-01-01T00:00:00Z"),
        ("D:20241331", None),
        ("yesterday", None),
    ],
)
def test_moments_of_a_pdf_are_in_utc_or_left_out(pdf: str, moment: str | None) -> None:
    assert properties(created=pdf_date(pdf)).get("created") == moment


def test_what_says_nothing_is_left_out() -> None:
    assert properties(author=" \n", language="klingon!", modified=7) == {}
    assert properties(author=" Ada\nLovelace ", language="pt_BR") == {"author": "Ada Lovelace", "language": "pt-br"}


def test_a_workbook_tells_its_author_its_date_and_the_sheet_of_each_page() -> None:
    document = load_xlsx(workbook(), "a.xlsx")
    assert document.attributes["author"] == "Ada"
    assert document.attributes["created"] == "2024-05-31T10:00:00Z"
    assert document.page_attributes == {1: {"sheet": "Prices"}, 2: {"sheet": "Stock"}}


def test_what_a_library_makes_up_is_not_told() -> None:
    from zipfile import ZipFile

    bare = BytesIO()
    with ZipFile(bare, "w") as package:
        package.writestr("xl/workbook.xml", "x")

    class Core:
        creator, created = "openpyxl", datetime.now(UTC)

    assert of_core(Core(), bare.getvalue()) == {}
