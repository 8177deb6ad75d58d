from chains.quotes import candidates
from chains.surroundings import defined
from tests.chains.test_grounding import chunk

TEXT = (
    'between the Ellerby Club, 2 Weir Lane (the "Club")\nand Marsden Services LLP (hereinafter the "Caretaker")\n\n'
    "The Caretaker mows the lawn."
)


def test_a_contract_says_whom_its_words_for_the_parties_stand_for() -> None:
    quote = next(each for each in candidates(chunk(TEXT)) if each.text.startswith("The Caretaker"))
    assert "Marsden" in defined(quote)
    assert "Ellerby" not in defined(quote)
