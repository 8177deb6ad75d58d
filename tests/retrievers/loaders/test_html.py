import pytest

from core.errors import UnreadableFile
from retrievers.loaders.html import load_html

PAGE = """<!doctype html><html><head><title>A &amp; B</title><style>p{}</style><script>evil()</script></head>
<body><nav>menu</nav><h1>Top <b>one</b></h1><p>First<br>second&nbsp;line</p>
<ul><li>one<li>two <a href="x">link</a></ul><ol><li><p>first</p><li>second</ol>
<div style="display: none">hidden</div><p hidden>hidden</p><template>hidden</template>
<pre class="language-python">x = 1
  y</pre>
<table><tr><th>Country<th>Days</tr><tr><td>Norway<td>25</tr></table>
<img src="x" alt="a lighthouse"> tail<h2>Sub</h2>body of sub<script>evil()</script></body></html>"""


def test_a_page_keeps_its_structure_and_loses_what_is_not_read() -> None:
    document = load_html(PAGE.encode(), "")
    found = [(s.kind, s.heading, document.text[s.start : s.end]) for s in document.sections]
    assert found == [
        ("prose", ("Top one",), "Top one\n\nFirst\nsecond line\n\n- one\n\n- two link\n\n1. first\n\n2. second"),
        ("code", ("Top one",), "x = 1\n  y"),
        ("table", ("Top one",), "Country: Norway | Days: 25"),
        ("prose", ("Top one",), "a lighthouse tail"),
        ("prose", ("Top one", "Sub"), "Sub\n\nbody of sub"),
    ]
    assert document.title == "A & B"


def test_a_page_says_its_own_encoding() -> None:
    page = '<html><head><meta charset="iso-8859-2"></head><p>Łódź</p></html>'
    assert load_html(page.encode("iso-8859-2"), "").text == "Łódź"
    assert load_html("<p>Grüße</p>".encode("utf-16"), "").text == "Grüße"


def test_a_table_that_arranges_a_page_is_read_as_text() -> None:
    document = load_html(b"<table><tr><td><h1>Title</h1><p>text</td><td><ul><li>item</ul></td></tr></table>", "")
    assert document.text == "Title\n\ntext\n\n- item"
    assert {section.kind for section in document.sections} == {"prose"}


def test_what_stands_in_a_form_is_read_and_its_fields_are_not() -> None:
    page = b"""<body><h1>Pump</h1><form id="aspnetForm"><input value="x"><p>It weighs 18 kg.</p><select><option>red</select>
    <textarea>draft</textarea><button>Send</button></form></body>"""
    assert load_html(page, "").text == "Pump\n\nIt weighs 18 kg."


def test_a_tables_empty_corner_and_its_head_still_name_the_columns() -> None:
    corner = b"<table><tr><td></td><th>2022</th></tr><tr><th>North</th><td>450</td></tr></table>"
    assert load_html(corner, "").text == "North | 2022: 450"
    head = b"<table><thead><tr><td>Region</td><td>Sum</td></tr></thead><tr><td>North</td><td>450</td></tr></table>"
    assert load_html(head, "").text == "Region: North | Sum: 450"


def test_broken_markup_loses_no_text() -> None:
    document = load_html(b"<p>one <b>two <i>three</p><div>four</b> five<p>six", "")
    assert document.text.split() == ["one", "two", "three", "four", "five", "six"]


def test_a_page_without_text_is_empty() -> None:
    assert load_html(b"<html><body><script>x</script></body></html>", "").text == ""
    assert load_html(b"<html>", "").text == ""


def rows_of(table: str) -> list[str]:
    return load_html(f"<table>{table}</table>".encode(), "").text.split("\n")


def test_a_cell_that_reaches_down_stands_in_each_row_that_it_covers() -> None:
    head = "<tr><th>Region<th>City<th>Price</tr>"
    assert rows_of(f"{head}<tr><td rowspan=2>North<td>Oslo<td>110</tr><tr><td>Bergen<td>95</tr><tr><td>South<td>Rome<td>7") == [
        "Region: North | City: Oslo | Price: 110",
        "Region: North | City: Bergen | Price: 95",
        "Region: South | City: Rome | Price: 7",
    ]


def test_cells_that_reach_over_columns_leave_the_others_under_their_own_names() -> None:
    head = "<tr><th>Branch<th colspan=2>Weekdays<th>Saturday</tr>"
    assert rows_of(f"{head}<tr><td>Harbour<td>8:00<td>17:00<td>closed</tr><tr><td>Hill<td colspan=2>9:00<td>10:00") == [
        "Branch: Harbour | Weekdays: 8:00 | Weekdays: 17:00 | Saturday: closed",
        "Branch: Hill | Weekdays: 9:00 | Saturday: 10:00",
    ]
    assert rows_of("<tr><th>Course<th>Adult<th>Child<th>Senior</tr><tr><td>Chess<td colspan=2>free<td>20") == [
        "Course: Chess | Adult: free | Child: free | Senior: 20"
    ]


def test_rows_of_names_that_stand_above_each_other_name_the_columns_together() -> None:
    head = "<tr><th rowspan=2>City<th colspan=2>2025<th>2026</tr><tr><th>Sales<th>Staff<th>Sales</tr>"
    assert rows_of(f"{head}<tr><td>Lund<td>100<td>5<td>140") == [
        "City: Lund | 2025 Sales: 100 | 2025 Staff: 5 | 2026 Sales: 140"
    ]


def test_a_caption_a_title_across_a_table_and_a_name_beside_no_cell_are_kept() -> None:
    table = (
        "<caption>Fees of 2026</caption><tr><th>Boat<th>Euros<th>Since May</tr><tr><td colspan=99>Rowing</tr><tr><td>Skiff<td>9"
    )
    assert rows_of(table) == ["Fees of 2026", "Boat | Euros | Since May", "Rowing", "Boat: Skiff | Euros: 9"]


def test_spans_that_cover_too_much_are_refused_and_one_beyond_its_rows_ends_with_them() -> None:
    assert rows_of("<tbody><tr><td rowspan=65534>a<td>b</tr><tr><td>c</tr></tbody><tbody><tr><td>d<td>e") == [
        "a | b",
        "a | c",
        "d | e",
    ]
    with pytest.raises(UnreadableFile) as caught:
        rows_of(f"<tr>{'<td colspan=1000 rowspan=0>x' * 9}</tr>" + "<tr><td>y</tr>" * 400)
    assert caught.value.code == "file_too_complex"


def test_paragraphs_of_a_cell_stay_apart() -> None:
    assert rows_of("<tr><td><p>One</p><p>Two</p></td><td>3") == ["One Two | 3"]
