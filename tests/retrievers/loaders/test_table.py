import pytest

from core.errors import UnreadableFile
from retrievers.loaders.table import load_csv


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_row_carries_the_names_of_its_columns(delimiter: str) -> None:
    rows = [["name", "price"], ["Widget", "12"], ["Gadget", "15"]]
    data = "\r\n".join(delimiter.join(row) for row in rows)
    assert load_csv(data.encode(), "").text == "name: Widget | price: 12\nname: Gadget | price: 15"


def test_quoted_cells_may_hold_delimiters_and_line_ends() -> None:
    assert load_csv(b'name,note\nA,"one, two\nthree"\n', "").text == "name: A | note: one, two three"


def test_rows_of_numbers_alone_have_no_header() -> None:
    assert load_csv(b"1,2\n3,4\n", "").text == "1 | 2\n3 | 4"


def test_empty_cells_and_rows_are_left_out_and_longer_rows_are_kept() -> None:
    assert load_csv(b"a,b\n\n,2\n1,2,3\n", "").text == "b: 2\na: 1 | b: 2 | 3"


def test_a_header_alone_is_still_text() -> None:
    assert load_csv(b"name,price\n", "").text == "name | price"


def test_a_quote_that_never_ends_is_told() -> None:
    with pytest.raises(UnreadableFile) as caught:
        load_csv(b'a,b\n"' + b"x" * 1_000_000, "")
    assert caught.value.code == "corrupt_file"


def test_a_table_that_grows_too_large_is_refused() -> None:
    wide = ",".join(f"column{n}" for n in range(2000)) + "\n"
    with pytest.raises(UnreadableFile) as caught:
        load_csv((wide + ("1," * 1999 + "1\n") * 2000).encode(), "")
    assert caught.value.code == "file_too_complex"
