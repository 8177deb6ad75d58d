import pytest

from chains.quotes import candidates
from chains.support import leaves_out, supporting, without_repetition
from tests.chains.test_grounding import chunk, words

QUOTES = ["The warranty lasts 24 months.", "Damage by frost is not covered by Acme."]


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        ("The warranty lasts 24 months.", True),
        ("Frost damage is not covered.", True),
        ("The warranty lasts 36 months.", False),
        ("The warranty lasts 24 months: `ACME_WARRANTY_KEY`.", False),
        ("The warranty lasts 24 months by warranty.frost.", False),
        ("The warranty lasts `24 months.", False),
        ("The warranty lasts months: months, months, months, months, months.", False),
        ("Damage lasts not 24 warranty frost months.", False),
        ("Frost damage is covered by Acme.", False),
        ("The warranty lasts 24 months, says Globex.", False),
        ("Does the warranty cover frost?", False),
        ("A completely different matter altogether.", False),
        ("", False),
    ],
)
def test_a_sentence_is_kept_only_where_the_quotes_say_it(sentence, kept):
    assert (supporting(sentence, QUOTES, "Does the warranty cover frost?", words=words) is not None) is kept


def test_what_one_sentence_says_is_not_said_of_what_another_is_about():
    quotes = ["Apple trees are pruned in late winter. Cherry trees are cut in summer."]
    question = "When are cherry trees pruned?"
    assert supporting("Cherry trees are pruned in late winter.", quotes, question, words=words) is None
    assert supporting("Cherry trees are cut in summer.", quotes, question, words=words) == 0


@pytest.mark.parametrize(
    ("answer", "said", "question", "less"),
    [
        ("After two hours.", "After transport, let it stand upright for two hours.", "How long must it stand upright?", True),
        ("The vote was one against.", "The vote was one against (Paul).", "Who was against it?", True),
        ("The pump is new.", "The pump is new, and Ada bought it.", "Who bought the pump?", True),
        ("It must stand upright for two hours.", "It must stand upright for two hours.", "How long must it stand?", False),
    ],
    ids=["words", "brackets", "kind", "whole"],
)
def test_an_answer_that_lacks_what_its_quote_tells_of_the_question_is_told(answer, said, question, less):
    quote = candidates(chunk(said))[0]
    assert leaves_out(answer, [quote], question, words=words) is less


MARSH = ["The gardener of Wexley is Philippa Marsh now."]
FURNACE = ["In 2022, furnace number three melted 1,870 tonnes of glass."]


@pytest.mark.parametrize(
    ("sentence", "quotes", "question"),
    [
        ("The plumber of Wexley is Philippa Marsh.", MARSH, "Who is the plumber of Wexley?"),
        ("Furnace number three melted 1,870 tonnes of glass in 2019.", FURNACE, "How much glass did it melt in 2019?"),
        ("Furnace number seven melted 1,870 tonnes of glass.", FURNACE, "Did furnace number seven melt 1,870 tonnes?"),
        ("Furnace number three melted 20 tonnes of glass in 2022.", FURNACE, "How much glass was melted?"),
        (
            "The contractor is the Baltica Versicherung AG.",
            ["The Contractor shall keep transport insurance with Baltica Versicherung AG."],
            "With whom is the transport insurance?",
        ),
        ("Nothing of it.", ["Nothing of it is known, and the pump is old."], "What is known of the pump?"),
    ],
)
def test_what_stands_only_in_the_question_is_no_support(sentence, quotes, question):
    assert supporting(sentence, quotes, question, words=words) is None


def test_numbers_are_the_same_in_words_and_in_digits_and_headings_support_too():
    assert supporting("Furnace number 3 melted 1870 tonnes in 2022.", FURNACE, "How much was melted?", words=words) == 0
    quotes = ["Weight: 18.5 kg"]
    assert supporting("P200 pump weight 18.5 kg", quotes, "How heavy is the P200 pump?", words=words) is None
    assert supporting("P200 pump weight 18.5 kg", quotes, "How heavy is it?", words=words, around=["P200 pump"]) == 0


PORT = [
    "The platform uses port 8000 unless `PORT`, the setting that chooses the port, sets another one.",
    "`HOST` sets the address, 127.0.0.1 by default, which only this machine reaches.",
    "`PUBLIC_URL` is the address that people type, where a proxy stands in front.",
]
ASKS = "Configuration › Which port does the platform use, and how do I change the port or the address?"


@pytest.mark.parametrize(
    "sentence",
    [
        "How to set the port of the platform: `PORT` is the address that people type, where a proxy stands in front.",
        "`PORT` is the address that people type.",
        "Change the port to 8000 or 127.0.0.1.",
        "Change the port to 8000.",
        "`PORT` uses port 8000.",
        "Which port does the platform use, and how do I change the port or the address?",
        "How to change the port or the address.",
        "`PUBLIC_URL`.",
    ],
)
def test_what_is_pooled_of_several_sentences_or_only_repeats_a_heading_is_no_answer(sentence):
    question = "How can I set the port of the platform?"
    assert supporting(sentence, PORT, question, words=words, around=[ASKS] * 3) is None


@pytest.mark.parametrize(
    ("quote", "true", "false"),
    [
        ("The small dome is turned by hand, the large dome by a motor.", "turned by hand", "turned by a motor"),
        ("The bell is shown on Mondays and the pump room on Fridays.", "shown on Mondays", "shown on Mondays and Fridays"),
        ("It was installed in 1998 and given by the Brandt family.", "installed in 1998", "installed by the Brandt family"),
    ],
)
def test_nothing_is_left_out_between_the_words_of_a_sentence(quote: str, true: str, false: str):
    subject = quote.split(" is ")[0].split(" was ")[0]
    assert supporting(f"{subject} is {true}.", [quote], "How?", words=words) == 0
    assert supporting(f"{subject} is {false}.", [quote], "How?", words=words) is None


def test_the_quote_that_says_it_is_told():
    question = "How can I set the address?"
    assert supporting("`HOST` sets the address, 127.0.0.1 by default.", PORT, question, words=words, around=[ASKS] * 3) == 1


def test_a_name_does_not_become_one_of_its_kind_and_bounds_are_not_made_up():
    quotes = ["Note that the password is swordfish."]
    assert supporting("The password is a swordfish.", quotes, "What is it?", words=words) is None
    assert supporting("The password is swordfish.", quotes, "What is it?", words=words) == 0
    assert supporting("Only the password is swordfish.", quotes, "What is it?", words=words) is None


def test_a_beginning_that_repeats_the_question_or_a_heading_is_left_out():
    around, question = ["Who sees a collection?"], "Who sees it?"
    said = "Who sees a collection?: Whoever made it."
    assert without_repetition(said, question, around, words=words) == "Whoever made it."
    for whole in ("Weight: 18.5 kg", "`access`: read or write"):
        assert without_repetition(whole, question, around, words=words) == whole


@pytest.mark.parametrize(
    ("quote", "question", "wrong"),
    [
        ("The yearly fee is 140 euros, for students 70 euros.", "What is the yearly fee?", "The yearly fee is 70 euros."),
        (
            "The crossing takes 75 minutes, in winter 90.",
            "How long is it in winter?",
            "The crossing takes 75 minutes in winter.",
        ),
    ],
    ids=["fee", "crossing"],
)
def test_of_several_numbers_none_is_left_out(quote, question, wrong):
    assert supporting(wrong, [quote], question, words=words) is None
    assert supporting(quote, [quote], question, words=words) == 0
