from chains.quotes import candidates
from retrievers.base import Chunk

LONG = (
    "The seller is liable for damage to goods; "
    + "for loss of goodwill, and for stoppage of work, " * 14
    + "or for any other loss."
)


def quotes(text: str):
    return candidates(Chunk("chk_1", "doc_1", "a.md", 1, text, 0, len(text), None, ""))


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
