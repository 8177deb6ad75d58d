from dataclasses import replace

import pytest

from chains.quotes import candidates, enumerated, with_columns
from chains.source_code import fenced, program_of, stretches
from retrievers.base import Chunk

LONG = (
    "The seller is liable for damage to goods; "
    + "for loss of goodwill, and for stoppage of work, " * 14
    + "or for any other loss."
)


def quotes(text: str, **asked: bool):
    return candidates(Chunk("chk_1", "doc_1", "a.md", 1, text, 0, len(text), None, ""), **asked)


def test_a_sentence_that_is_too_long_is_cut_behind_a_clause_and_known_to_be():
    (quote,) = quotes(LONG)
    assert quote.cut
    assert len(quote.text) <= 600
    assert LONG.startswith(quote.text)
    assert quote.text.endswith((",", ";"))


def test_a_sentence_that_fits_is_not_cut():
    assert [quote.cut for quote in quotes("One is short. So is the other.")] == [False, False]


def test_a_heading_that_runs_into_its_paragraph_is_quoted_with_what_follows():
    texts = [quote.text for quote in quotes("3. Grant of Patent License. Each contributor grants you a license to it.")]
    assert texts == ["3. Grant of Patent License. Each contributor grants you a license to it.", texts[0][28:]]


def test_a_heading_that_runs_into_a_long_sentence_is_never_quoted_alone():
    first, second = quotes(f"Limits of Liability. {LONG}")
    assert first.text.startswith("Limits of Liability. The seller")
    assert second.text.startswith("The seller")
    assert first.cut


def texts(text: str, **asked: bool) -> list[str]:
    return [quote.text for quote in quotes(text, **asked)]


def test_each_line_of_a_price_list_is_quoted_under_the_list_s_heading():
    found = quotes("Salon price list\n\nHaircut for men 30\nBeard trim 12\n")
    assert [(quote.heading, quote.text) for quote in found] == [
        ("Salon price list", "Haircut for men 30"),
        ("Salon price list", "Beard trim 12"),
    ]


def test_the_name_on_a_receipt_is_the_heading_of_its_lines_and_no_line_is_that_of_the_next():
    found = quotes("CORNER CAFE\n12 Mill Road, Bath\n1 Carrot cake 4.20\nTotal 11.80\n")
    assert {quote.heading for quote in found} == {"CORNER CAFE"}
    assert [quote.text for quote in found] == ["12 Mill Road, Bath", "1 Carrot cake 4.20", "Total 11.80"]


def test_short_paragraphs_are_no_headings_of_each_other():
    long = "Room type double with balcony Check-in 4 July 2025 from 15:00 Price per night 128 euros"
    lines = ["Booking number HX 4471", "Guest name Lena Ortiz", long, "Breakfast included"]
    assert texts("\n\n".join(lines)) == lines


def test_a_short_line_is_the_heading_of_the_sentences_behind_it():
    assert [(quote.heading, quote.text) for quote in quotes("5. Repairs\n\nThe tenant pays.\n\n6. Keys\n\nThere are two.")] == [
        ("Repairs", "The tenant pays."),
        ("Keys", "There are two."),
    ]


@pytest.mark.parametrize(
    "asked", ["**Is it open?**\n\n", "**Q: Is it open?**\n\nA: ", "1. Is it open?\n", "### Is it open?\n\n", "Is it open?\n\n"]
)
def test_a_question_is_the_heading_of_its_answer_and_no_quote(asked: str):
    (quote,) = quotes(f"{asked}On Sundays alone.")
    assert quote.heading.endswith("Is it open?")
    assert quote.text.endswith("On Sundays alone.")


def test_a_question_amid_a_paragraph_is_left_out_and_heads_nothing():
    found = quotes("# Doors\n\nThey are red. Why so? Nobody knows.")
    assert [(quote.heading, quote.text) for quote in found] == [("Doors", "They are red."), ("Doors", "Nobody knows.")]


def test_an_entry_knows_the_whole_list_that_it_is_of():
    first, second, *_ = quotes("# Trip\n\nIt is far.\n\n- passport\n- power adapter\n- rain jacket\n\nDo not be late.")
    assert first.listed() is first
    assert second.listed().text == "- passport\n- power adapter\n- rain jacket"


def test_a_list_is_whole_with_the_line_that_announces_it_and_its_items_further_sentences():
    quote = quotes("Do this:\n1. Press it. Then wait.\n2. Let go.")[0]
    assert (quote.kind, quote.text) == ("list", "Do this:\n1. Press it. Then wait.\n2. Let go.")


def test_a_list_that_is_too_long_ends_with_an_entry_and_is_known_to_go_on():
    quote = quotes("\n".join(f"- entry number {number} of many" for number in range(100)))[50].listed()
    assert quote.cut
    assert len(quote.text) <= 600
    assert quote.text.endswith("of many")


def test_the_number_of_a_heading_is_quoted_where_one_is_asked_for():
    text = "# Harrow Ltd.\n\n## Invoice No. 2024-117\n\nPlease pay soon."
    assert texts(text) == ["Please pay soon."]
    assert texts(text, numbered=True) == ["## Invoice No. 2024-117", "Please pay soon."]


def test_a_list_reads_as_one_sentence():
    assert enumerated("- passport\n- rain jacket") == "passport, rain jacket"
    assert enumerated("Do this:\n1. Press it.\n2. Let go.") == "Do this: Press it. Let go."


SOURCE = """def forward(handler, *args):
    # calls it
    return handler(*args)

class Power:
    def of(self, level):
        return 2 ** level
"""


def test_source_code_is_quoted_in_whole_blocks_and_shown_as_it_is():
    chunk = Chunk("chk_1", "doc_1", "lib/power.py", 1, SOURCE, 0, len(SOURCE), None, "")
    first, second = candidates(chunk)
    assert (first.program, first.text) == ("python", "def forward(handler, *args):\n    # calls it\n    return handler(*args)")
    assert second.text == "class Power:\n    def of(self, level):\n        return 2 ** level"
    inner = second.text.split("\n", 1)[1]
    assert fenced(inner, "python") == "```python\ndef of(self, level):\n    return 2 ** level\n```"
    assert fenced("a = '```'", "python") == "~~~python\na = '```'\n~~~"


def test_a_long_block_of_source_code_is_cut_between_lines():
    text = "\n".join(f"value_{number} = {number} * {number}" for number in range(60))
    spans = stretches(text)
    assert len(spans) > 1
    assert "\n".join(text[start:end] for start, end in spans) == text
    assert all(end - start <= 600 for start, end in spans)


@pytest.mark.parametrize("name", ["settings.yaml", "notes.md", "a.txt", "app.toml"])
def test_data_and_prose_are_no_programs(name: str):
    assert program_of(Chunk("chk_1", "doc_1", name, 1, "a: 1", 0, 4, None, "")) == ""


TABLE = """| Line | From | To | Departs |
| --- | --- | --- | --- |
| X40 | Halden | Orvik | 09:30 |
| R12 | **Orvik** | Halden |  |
"""


def test_a_row_of_a_wide_table_reads_with_the_names_of_its_columns():
    rows = [quote for quote in quotes(TABLE) if quote.row]
    assert [with_columns(quote) for quote in rows] == [
        "Line: X40, From: Halden, To: Orvik, Departs: 09:30",
        "Line: R12, From: Orvik, To: Halden",
    ]


def test_rows_that_are_quoted_together_have_the_names_each():
    (header, *_), rows = TABLE.strip().splitlines(), [quote for quote in quotes(TABLE) if quote.row]
    together = replace(rows[0], end=rows[-1].end)
    told = "Line: X40, From: Halden, To: Orvik, Departs: 09:30; Line: R12, From: Orvik, To: Halden"
    assert (header[:1], with_columns(together)) == ("|", told)
    unnamed = TABLE.replace("| Line ", "|      ", 1)
    assert with_columns(next(quote for quote in quotes(unnamed) if quote.row)) == "X40, From: Halden, To: Orvik, Departs: 09:30"


def test_a_heading_with_a_date_is_quoted_where_one_is_asked_for():
    text = "# Minutes of 3 May 2024\n\nPresent were all members."
    assert "# Minutes of 3 May 2024" in [quote.text for quote in quotes(text, dated=True)]
    assert "# Minutes of 3 May 2024" not in [quote.text for quote in quotes(text)]


def test_a_row_whose_header_stands_above_its_passage_has_its_names_from_there():
    row = "| X40 | Halden | Orvik | 09:30 |"
    (quote,) = candidates(
        Chunk("chk_1", "doc_1", "a.md", 1, row, 900, 900 + len(row), None, "Lines\n| Line | From | To | Departs |")
    )
    assert with_columns(quote) == "Line: X40, From: Halden, To: Orvik, Departs: 09:30"


@pytest.mark.parametrize("text", ["| Weight | 18.5 kg |", "X40: Halden, Orvik", "| a | b | c |"])
def test_what_has_no_columns_or_two_reads_as_before(text: str):
    assert all(with_columns(quote) is None for quote in quotes(text))
