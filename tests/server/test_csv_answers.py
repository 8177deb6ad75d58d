"""CSV that a spreadsheet opens and does not run."""

import csv
import io
from decimal import Decimal

import pytest

from server.csv_answers import cell, csv_text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '=HYPERLINK("http://x")'])
def test_a_text_that_would_run_is_made_a_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Decimal("-0.000000012345"), "-0.000000012345"),
        (Decimal("1E+3"), "1000"),
        (Decimal(0), "0"),
        (-3, "-3"),
        (None, ""),
        (1.5, "1.5"),
        (1.5e-05, "0.000015"),
    ],
    ids=str,
)
def test_numbers_stand_as_they_are(value: object, told: str) -> None:
    assert cell(value) == told


def test_what_is_written_is_read_back() -> None:
    text = csv_text(["name", "n"], [{"name": 'a,"b"\nc', "n": 1, "more": 2}, {"name": "ä"}])
    assert list(csv.reader(io.StringIO(text))) == [["name", "n"], ['a,"b"\nc', "1"], ["ä", ""]]
