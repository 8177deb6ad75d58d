import pytest

from chains.excerpts import GAP, asks_for_text, excerpt, may_tell, rests_on, telling_lines

INVOICE = "ACME GmbH\nInvoice 2026-117\nHosting 120.00 EUR\nSupport 80.00 EUR\nTotal: 200.00 EUR"


def test_a_short_text_is_taken_whole() -> None:
    assert excerpt(INVOICE, "total", 1000) == INVOICE


def test_of_a_long_text_the_blocks_that_the_question_asks_for_are_taken() -> None:
    blocks = [f"Chapter {n} tells of ordinary things and of nothing else at all." for n in range(200)]
    blocks[150] = "The lighthouse keeper was called Aslaug."
    found = excerpt("\n\n".join(blocks), "Who was the lighthouse keeper?", 400)
    assert "Aslaug" in found
    assert len(found) <= 400
    assert found.startswith(GAP)


def test_without_a_hint_in_the_question_the_beginning_is_taken() -> None:
    found = excerpt("\n\n".join(f"block {n}" for n in range(500)), "Summarise this", 100)
    assert found.startswith("block 0")
    assert found.endswith(GAP)


def test_one_endless_line_is_cut() -> None:
    assert len(excerpt("x" * 1_000_000, "x", 500)) <= 500


def test_the_lines_that_tell_are_those_that_share_words_with_the_question() -> None:
    assert telling_lines([INVOICE], "What is the total?", 3) == ["Total: 200.00 EUR"]
    assert telling_lines([INVOICE], "Summarise", 2) == ["ACME GmbH", "Invoice 2026-117"]


def test_an_answer_from_the_text_rests_on_it() -> None:
    assert rests_on("The total is 200.00 EUR.", [INVOICE], "What is the total?")
    assert rests_on("200.00 EUR", [INVOICE], "What is the total?")


def test_an_answer_with_another_number_other_words_or_beside_the_question_does_not() -> None:
    assert not rests_on("The total is 300.00 EUR.", [INVOICE], "What is the total?")
    assert not rests_on("The sun shines over wonderful mountains today.", [INVOICE], "What is the total?")
    assert not rests_on("ACME GmbH", [INVOICE], "What is the total?")
    assert not rests_on("", [INVOICE], "What is the total?")


def test_a_long_line_is_cut_between_words_so_that_no_half_of_an_address_is_sent() -> None:
    address = "jane.tanaka74@acme-corp.com"
    found = excerpt(", ".join([address] * 500), "Whose are these?", 5_000)
    assert len(found) > 3_000
    assert not {piece for piece in found.replace(",", " ").split() if piece not in (address, GAP)}


BOAT = """Boat hire Lake Orm
The boat costs £1,340 a week.
The deposit is 250 pounds and comes back within ten days.
Dog 30.00
The dock is closed after sunset."""


def test_a_number_of_another_line_is_no_answer() -> None:
    question = "How much is the deposit?"
    assert rests_on("The deposit is 250 pounds.", [BOAT], question)
    assert not rests_on("The deposit for the boat is £1,340.", [BOAT], question)
    assert not rests_on("The dog is included in the price of the boat.", [BOAT], "How much does a dog cost?")
    assert rests_on("A dog costs 30.00.", [BOAT], "How much does a dog cost?")


@pytest.mark.parametrize(
    ("question", "does"),
    [
        ("Read the text.", True),
        ("Please transcribe this image word for word.", True),
        ("What does it say?", True),
        ("What is written there?", True),
        ("Was steht auf dem Bild?", True),
        ("Read the invoice number.", False),
        ("What is this?", False),
        ("What does the contract say about frost?", False),
    ],
)
def test_who_wants_the_text_itself_is_known(question: str, does: bool) -> None:
    assert asks_for_text(question) is does


@pytest.mark.parametrize(
    ("question", "tells"),
    [
        ("What is the VAT number?", False),
        ("What is the total?", True),
        ("Summarise the document.", True),
        ("What is this?", True),
    ],
)
def test_a_short_text_without_anything_that_was_asked_for_does_not_tell_it(question: str, tells: bool) -> None:
    lines = ["Invoice 2026-118", "Total: 120.00 EUR", "Due date: 15 August 2026"]
    assert may_tell(["\n".join(lines)], lines, question) is tells
