import re
from dataclasses import replace

import numpy as np
import pytest

from chains.grounding import gather
from chains.quotes import candidates, plain
from retrievers.base import Chunk, Passage


def words(text: str) -> list[str]:
    return [
        word.lower() for word in re.findall(r"\w+", text) if word.lower() not in {"the", "is", "a", "of", "what", "it", "are"}
    ]


def chunk(text: str, start: int = 0, context: str = "") -> Chunk:
    return Chunk("chk_1", "doc_1", "a.md", 1, text, start, start + len(text), None, context)


@pytest.mark.parametrize(
    ("quote", "read"),
    [
        ("**Bold** and *thin* text", "Bold and thin text"),
        ("- an item", "an item"),
        ("3. **Sales.** They rose by 3.5 %", "Sales. They rose by 3.5 %"),
        ("## Heading", "Heading"),
        ("| Weight | 18.5 kg |", "Weight: 18.5 kg"),
        ("| a | b | c |\n|---|:-:|---|\n| 1 | 2 | 3 |", "1: 2, 3"),
        ("call `my_function(a * b)` and snake_case_name", "call `my_function(a * b)` and snake_case_name"),
        ("over\ntwo  lines", "over two lines"),
    ],
)
def test_a_quote_reads_as_a_sentence(quote, read):
    assert plain(quote) == read


def test_candidates_are_spans_of_the_document_and_headings_are_left_out():
    text = "## Install\nRun it now.\n\nThese are needed:\n- bolts\n- nuts\n\nThat is all."
    found = candidates(chunk(text, start=100))
    for quote in found:
        assert text[quote.start - 100 : quote.end - 100] == quote.text
    texts = [quote.text for quote in found]
    assert "Run it now." in texts
    assert any(one.startswith("These are needed:") and "- bolts" in one for one in texts)
    assert not any(one == "## Install" for one in texts)


def evidence(question: str, *texts: str, cosines: dict[str, float], scores: tuple[float, ...] = (), context: str = ""):
    """Evidence from a passage for each text, where the embedding model gives a text the cosine to the question of the first
    key that it ends with, and 0 else."""

    def embed(embedded):
        found = [next((cosine for end, cosine in cosines.items() if text.endswith(end)), None) for text in embedded[1:]]
        vectors = [[0.0, 0.0, 1.0] if cosine is None else [cosine, (1 - cosine**2) ** 0.5, 0.0] for cosine in found]
        return np.array([[1.0, 0.0, 0.0], *vectors], dtype=np.float32)

    passages, start = [], 0
    for number, text in enumerate(texts):
        passages.append(
            Passage(replace(chunk(text, start, context), id=f"chk_{number}"), (scores or (1.0,) * len(texts))[number])
        )
        start += len(text) + 2
    return gather(question, passages, embed=embed, weights=dict.fromkeys(words(question), 1.0), words=words)


def test_meaning_and_words_both_count():
    found = evidence(
        "How heavy is the pump?", "The pump has a mass of 18 kg.\n\nBread is baked at night.", cosines={"18 kg.": 0.6}
    )
    assert [quote.text for quote in found.quotes] == ["The pump has a mass of 18 kg."]
    assert found.confidence > 0.4


def test_what_shares_neither_gives_no_confidence():
    assert evidence("Who wrote Hamlet?", "The pump has a mass of 18 kg.", cosines={"kg.": 0.1}).confidence < 0.05


def test_a_definition_goes_before_a_mention():
    text = "We chose tantivy for its speed.\n\nTantivy is a search library."
    found = evidence("What is tantivy?", text, cosines={"speed.": 0.6, "library.": 0.6})
    assert found.quotes[0].text == "Tantivy is a search library."


def test_an_answer_under_the_heading_that_asks_need_not_repeat_the_question():
    found = evidence(
        "Is it reachable from other machines?",
        "## Is it reachable from other machines?\n\nNot by default: it binds to 127.0.0.1. A proxy may stand in front of it.",
        "It is reachable from machines of other kinds as well.",
        cosines={"Is it reachable from other machines?": 1.0, "127.0.0.1.": 0.5, "as well.": 0.6},
        scores=(1.0, 0.8),
        context="Security",
    )
    assert found.quotes[0].text == "Not by default: it binds to 127.0.0.1."
    assert found.confidence > 0.9


def test_a_sentence_of_the_best_passage_goes_before_its_like_in_another():
    found = evidence(
        "How heavy is the pump?", "The pump weighs 9 kg.", "The pump weighs 8 kg.", cosines={"kg.": 0.6}, scores=(0.8, 1.0)
    )
    assert found.quotes[0].text == "The pump weighs 8 kg."


def test_what_is_less_relevant_and_of_another_section_is_not_quoted_beside():
    texts = ("## Weight\n\nThe pump weighs 8 kg.", "## Colour\n\nIt was painted red.")
    found = evidence("How heavy is the pump?", *texts, cosines={"8 kg.": 0.7, "red.": 0.6})
    assert [quote.text for quote in found.quotes] == ["The pump weighs 8 kg."]


def test_what_a_heading_names_a_sentence_need_not_name_again():
    text = "# Boat 7\nThe cutter of boat 7 was built in 1983.\n\nIts sail number is SB-22."
    cosines = {"built in 1983.": 0.6, "number is SB-22.": 0.5}
    found = evidence("What is the sail number of boat 7?", text, cosines=cosines, context="Boat 7")
    assert [quote.text for quote in found.quotes] == ["Its sail number is SB-22."], (
        "what is beside it is of the boat, and not asked"
    )


def test_a_sentence_that_goes_on_from_the_answer_is_quoted_with_it():
    text = "We deliver orders above 40 euros free. Below that, the courier asks for 6 euros."
    found = evidence("Do you deliver orders?", text, cosines={"40 euros free.": 0.6, "for 6 euros.": 0.6})
    assert len(found.quotes) == 2


def test_words_that_the_whole_passage_lacks_take_from_the_confidence():
    text = "Young trees get thirty litres of water in dry spells."
    held = evidence("How much water do trees get?", text, cosines={"spells.": 0.35})
    missing = evidence("How much fertiliser do trees get?", text, cosines={"spells.": 0.35})
    assert missing.confidence < 0.24 < held.confidence


def test_the_header_and_rule_of_a_table_are_not_quoted_but_its_rows_are():
    found = candidates(chunk("| alias | model |\n|---|---|\n| `default` | small |\n| `embeddings` | other |"))
    texts = [quote.text for quote in found]
    assert "| `default` | small |" in texts
    assert "| `default` | small |\n| `embeddings` | other |" in texts
    assert not any("alias" in one or "---" in one for one in texts)
    assert {quote.columns for quote in found} >= {"alias: model"}


def test_code_is_quoted_only_where_it_is_asked_for_or_announced():
    text = "It is fast.\n\n```sh\nrun --all\n```\n\nThat is all there is to say."
    assert not any("run --all" in quote.text for quote in candidates(chunk(text)))
    assert any(quote.text == "```sh\nrun --all\n```" for quote in candidates(chunk(text, start=7), code=True))
    announced = text.replace("It is fast.", "Connect it and run:")
    assert any(quote.text == "Connect it and run:\n\n```sh\nrun --all\n```" for quote in candidates(chunk(announced)))


def test_a_heading_alone_or_an_announcement_of_nothing_is_no_candidate():
    assert candidates(chunk("## How do I use it?")) == []
    assert candidates(chunk("It comes with two small models:")) == []


def test_what_is_announced_may_stand_in_the_next_passage():
    texts = ("Two models come with it:", "| alias | model |\n|---|---|\n| `default` | small |")
    found = evidence("Which models come with it?", *texts, cosines={"small": 0.7})
    assert found.quotes[0].text == "\n\n".join(texts)


ROWS = "name: Ada | city: London | pay: 5200\nname: Grace | city: York | pay: 6100\nname: Alan | city: Bath | pay: 4800"
RECORDS = "name: Ada\ncity: London\n\nname: Grace\ncity: York"


def test_a_row_of_a_table_and_a_record_are_quoted_by_themselves():
    assert [quote.text for quote in candidates(chunk(ROWS, start=3))] == ROWS.split("\n")
    assert [quote.text for quote in candidates(chunk(RECORDS))] == RECORDS.split("\n\n")
    announced = candidates(chunk(f"The staff:\n\n{ROWS}"))
    assert [quote.text for quote in announced] == ROWS.split("\n")
    assert plain(ROWS.split("\n")[0]) == "name: Ada, city: London, pay: 5200"
    assert plain(RECORDS.split("\n\n")[0]) == "name: Ada, city: London"


def test_a_long_record_is_quoted_by_its_lines_which_know_whose_they_are():
    text = "name: Ada\n" + "\n".join(f"field.{number}: value {number} of the record" for number in range(20))
    found = candidates(chunk(f"name: Grace\nfield.3: other\n\n{text}"))
    assert ("field.3: value 3 of the record", "name: Ada") in [(quote.text, quote.columns) for quote in found]
    assert all(len(quote.text) < 60 for quote in found)


def test_bars_in_a_sentence_make_no_row():
    text = "Pipe it as in cat file | sort, and you\nget what was sorted. Then go on."
    assert [quote.text for quote in candidates(chunk(text))] == [text[:59], "Then go on."]


def test_nothing_found_is_no_evidence():
    assert gather("x", [], embed=lambda _: np.zeros((1, 2), np.float32), weights={}, words=words).quotes == ()


def test_a_likely_passage_without_the_questions_names_is_not_quoted():
    found = evidence("Who is the plumber of Barton?", "The plumber of Wexley is Philippa Marsh.", cosines={"Marsh.": 0.7})
    assert (found.quotes, found.confidence) == ((), 0.0)
    assert found.likelihood > 0.5  # a model that can tell by itself may look at it


def test_a_row_must_have_by_itself_what_is_asked_for():
    rows = "day: Saturday | price: 12\nday: Sunday | price: 14"
    question = "What is the price on Saturday?"
    assert [quote.text for quote in evidence(question, rows, cosines={"12": 0.6, "14": 0.7}).quotes] == [
        "day: Saturday | price: 12"
    ]
    assert evidence("What is the price on Tuesday?", rows, cosines={"12": 0.6, "14": 0.7}).quotes == ()


def test_of_rows_that_say_all_that_is_asked_for_every_one_is_quoted():
    goods = [("oil", "Lenz"), ("wax", "Lenz"), ("saw", "Takumi"), *((f"primer {number}", "Lenz") for number in range(4))]
    rows = "\n".join(f"product: {good} | stock: {number} | supplier: {by}" for number, (good, by) in enumerate(goods))
    found = evidence("Which product is from Lenz?", rows, cosines={"Lenz": 0.6, "Takumi": 0.55})
    assert sorted(quote.text.split(" | ")[0] for quote in found.quotes) == sorted(
        f"product: {good}" for good, by in goods if by == "Lenz"
    )


def test_the_name_of_a_column_is_nothing_that_rows_have_in_common():
    rows = "Property: Power | Pro: 1,850 W\nProperty: Weight | Pro: 8.1 kg\nProperty: Cord | Pro: 1.4 m"
    found = evidence("How heavy is the Pro?", rows, cosines={"8.1 kg": 0.6, "W": 0.1, "m": 0.1})
    assert [quote.text for quote in found.quotes] == ["Property: Weight | Pro: 8.1 kg"]


def test_a_sentence_about_another_number_of_the_same_thing_is_not_quoted():
    text = "Plot 17 has not been tended. Plot 12 was dug in May."
    found = evidence("What happened to plot 12?", text, cosines={"tended.": 0.8, "May.": 0.5})
    assert [quote.text for quote in found.quotes] == ["Plot 12 was dug in May."]


def test_a_follow_up_is_answered_where_its_topic_is_known_by_what_it_asks_itself():
    texts = ("The stool is red. It costs 74 euros.", "The lamp is small. It costs 89 euros.")

    def embed(embedded):
        return np.array([[float("euros" in text or "cost" in text), 0.5] for text in embedded], dtype=np.float32)

    passages = [Passage(replace(chunk(text), id=f"chk_{number}"), 1.0) for number, text in enumerate(texts)]
    question = "lamp: What does it cost?"
    weights = dict.fromkeys(words(question), 1.0)
    found = gather(question, passages, embed=embed, weights=weights, words=words, about="What does it cost?", topic=("lamp",))
    assert [quote.text for quote in found.quotes] == ["It costs 89 euros."]


def carried(text, new, *, topic):
    """What is quoted of passages, which two blank lines part, for a question that carries the topic on."""
    passages = [Passage(replace(chunk(each), id=f"chk_{place}"), 1.0) for place, each in enumerate(text.split("\n\n\n"))]
    weights = dict.fromkeys(words(new), 1.0)

    def embed(embedded):  # all sentences mean the same, and no word another
        vectors = np.eye(1 + len(embedded), dtype=np.float32)[1:]
        vectors[[" " in one for one in embedded]] = vectors[0]
        return vectors

    found = gather(f"{topic}: {new}", passages, embed=embed, weights=weights, words=words, about=new, topic=(topic,), new=new)
    return [quote.text.split("\n")[-1] for quote in found.quotes]


def test_what_a_follow_up_asks_for_stands_by_its_answer_and_not_elsewhere_in_the_passage():
    text = "The studio has red glazes in stock.\n\nVisitors ask which insurance there is."
    assert "The studio has red glazes in stock." not in carried(text, "Which insurance is there?", topic="studio")


def test_a_heading_that_points_or_asks_the_same_speaks_of_what_its_document_is_about():
    asked, said = "Which temperatures does it reach?", "It can reach temperatures of 1,060 degrees."
    text = f"The studio is open daily.\n\n\n## {{}}\n\n{said}"
    assert carried(text.format("How hot is it?"), asked, topic="studio") == [said]
    assert carried(text.format("Which temperatures can you reach?"), asked, topic="studio") == [said]
    assert carried(text.format("Which temperatures does the sauna reach?"), asked, topic="studio") == []
    assert carried(text.format(asked).replace("studio", "garden"), asked, topic="studio") == []


def test_in_a_language_of_its_own_words_the_sentence_that_has_them_answers():
    text = "Il museo del mare apre alle nove.\n\nLa guida è Paola Serra."
    found = evidence("Chi è la guida?", text, cosines={"nove.": 0.9, "Serra.": 0.2})
    assert "Paola Serra" in found.quotes[0].text
