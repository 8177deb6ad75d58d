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
