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


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (",name,pay\n0,Ben,4100\n1,Cleo,5200\n", "0 | name: Ben | pay: 4100"),
        (",Mon,Tue\nBen,early,late\n", "Ben | Mon: early | Tue: late"),
        ("Region,2021,2022,2023\nNorth,450,470,2022\n", "Region: North | 2021: 450 | 2022: 470 | 2023: 2022"),
        ("Region,2023-12,2024-01\nNorth,4,5\n", "Region: North | 2023-12: 4 | 2024-01: 5"),
        ("Room,1,2,3\nA,free,taken,free\n", "Room: A | 1: free | 2: taken | 3: free"),
        ("name,pay,\nBen,4100,\nCleo,5200,\n", "name: Ben | pay: 4100"),
        ("name,price,price\nA,1,2\nB,3,4\n", "name: A | price: 1 | price: 2"),
        ("sep=;\nname;pay\nBen;4\n", "name: Ben | pay: 4"),
        ("Pay of May\n\nname,pay\nBen,4\nCleo,5\n", "name: Ben | pay: 4"),
        ("Pay of May,\nname,pay\nBen,4\nCleo,5\n", "name: Ben | pay: 4"),
    ],
)
def test_names_of_columns_are_found_in_the_shapes_that_programs_write(table: str, row: str) -> None:
    assert row in load_csv(table.encode(), "").text.split("\n")


@pytest.mark.parametrize(
    "table",
    [
        "Ben,2020,2021\nCleo,2019,2023\n",
        "Ben,4100\nCleo,5200\n",
        "a,1,2,3\nb,2,5,7\nc,0,1,2\nd,1,2,3\n",
        ",Bern,\n3,Rome,x\n,Oslo,y\n",
    ],
)
def test_a_first_row_like_the_others_names_nothing(table: str) -> None:
    first = " | ".join(table.split("\n")[0].split(",")).strip(" |")
    assert load_csv(table.encode(), "").text.split("\n")[0] == first


def test_a_quote_that_never_ends_is_told() -> None:
    with pytest.raises(UnreadableFile) as caught:
        load_csv(b'a,b\n"' + b"x" * 1_000_000, "")
    assert caught.value.code == "corrupt_file"


def test_a_table_that_grows_too_large_is_refused() -> None:
    wide = ",".join(f"column{n}" for n in range(2000)) + "\n"
    with pytest.raises(UnreadableFile) as caught:
        load_csv((wide + ("1," * 1999 + "1\n") * 2000).encode(), "")
    assert caught.value.code == "file_too_complex"


def test_no_text_of_a_first_row_is_lost() -> None:
    contacts = b"Reception,Ms Adler,ground floor\nArchive,,basement\nCanteen,,basement\n"
    assert load_csv(contacts, "").text.startswith("Reception | Ms Adler | ground floor\nArchive |")
    assert load_csv(b"name,pay,bonus of May\nA,1,\nB,2,\n", "").text.split("\n")[0] == "name | pay | bonus of May"
