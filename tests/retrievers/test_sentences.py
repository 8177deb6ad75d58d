import pytest

from retrievers.sentences import units


def cut(text: str, **options: bool) -> list[str]:
    return [text[unit.start : unit.end] for unit in units(text, **options)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.50 euros, i.e. little. Buy it.", ["It costs 3.50 euros, i.e. little.", "Buy it."]),
        ("Dr. Smith met J. Doe. They spoke.", ["Dr. Smith met J. Doe.", "They spoke."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("A line that\ngoes on. Next.", ["A line that\ngoes on.", "Next."]),
        ("# Title\nText follows.", ["# Title", "Text follows."]),
        ("- one\n- two goes\n  on\n- three", ["- one", "- two goes\n  on", "- three"]),
        ("| a | b |\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"]),
        ("これは文です。次の文です。", ["これは文です。", "次の文です。"]),
        ("version 1.\nis old", ["version 1.\nis old"]),
        (
            "`make ingest DIR=… COLLECTION=…` brings a folder in. Next.",
            ["`make ingest DIR=… COLLECTION=…` brings a folder in.", "Next."],
        ),
        ("Give `language?` or `Hi! You. There?` to it. Next.", ["Give `language?` or `Hi! You. There?` to it.", "Next."]),
        ("It is 12 euros… and more. It is 13… More.", ["It is 12 euros… and more.", "It is 13…", "More."]),
        ("A `tick… Here. Next` one.", ["A `tick… Here. Next` one."]),
        ("A tick ` alone… Here! Next.", ["A tick ` alone…", "Here!", "Next."]),
        ("He said ``Stop! Now.'' Then ``Go!'' again.", ["He said ``Stop!", "Now.''", "Then ``Go!''", "again."]),
        ("| `a?` | Yes! And no. It is. | b |\n| 1 | 2 |", ["| `a?` | Yes! And no. It is. | b |", "| 1 | 2 |"]),
        ("Beschlossen am 12. Mai 2024. Sie gilt ab dem 1. Juli.", ["Beschlossen am 12. Mai 2024.", "Sie gilt ab dem 1. Juli."]),
        ("Fällig im 3. Quartal. Siehe Nr. 5, Abs. 2.", ["Fällig im 3. Quartal.", "Siehe Nr. 5, Abs. 2."]),
        ("It costs 12. The rest is free. We need 10. Mainly.", ["It costs 12.", "The rest is free.", "We need 10.", "Mainly."]),
        ("Beschlossen am\n12. Mai in Graz.", ["Beschlossen am\n12. Mai in Graz."]),
        (
            "2. Fees and payment\n2.1 The client pays.\n2.2 He pays at once.",
            ["2. Fees and payment", "2.1 The client pays.", "2.2 He pays at once."],
        ),
        ("2. Fees and payment\n3.1 per cent are due.", ["2. Fees and payment\n3.1 per cent are due."]),
        ("3. Bonfires\nFollowing complaints they are banned.", ["3. Bonfires", "Following complaints they are banned."]),
        ("1. apples\n2. pears and\n   Plums\n3. figs", ["1. apples", "2. pears and\n   Plums", "3. figs"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_units_are_sentences_and_standing_lines(text, expected):
    assert cut(text) == expected


def test_every_line_is_a_unit_where_asked():
    assert cut("x = 1\ny = 2\n\nz = 3", lines=True) == ["x = 1", "y = 2", "z = 3"]


def test_paragraphs_are_numbered():
    assert [unit.paragraph for unit in units("One. Two.\n\nThree.")] == [0, 0, 1]
