import re

import numpy as np
import pytest

from chains.grounding import candidates, gather, keeps_to, plain
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
        ("| a | b | c |\n|---|:-:|---|\n| 1 | 2 | 3 |", "a: b, c 1: 2, 3"),
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


def evidence(question: str, *sentences: str, cosines: list[float]):
    """Evidence where the embedding model gives the sentences these cosines to the question."""
    vectors = np.array([[1.0, 0.0]] + [[cosine, (1 - cosine**2) ** 0.5] for cosine in cosines], dtype=np.float32)
    passages = [Passage(chunk("\n\n".join(sentences)), 1.0)]
    return gather(question, passages, embed=lambda _: vectors, weights=dict.fromkeys(words(question), 1.0), words=words)


def test_meaning_and_words_both_count():
    found = evidence("How heavy is the pump?", "The pump has a mass of 18 kg.", "Bread is baked at night.", cosines=[0.6, 0.1])
    assert [quote.text for quote in found.quotes] == ["The pump has a mass of 18 kg."]
    assert found.confidence > 0.9


def test_what_shares_neither_gives_no_confidence():
    assert evidence("Who wrote Hamlet?", "The pump has a mass of 18 kg.", cosines=[0.1]).confidence < 0.05


def test_a_definition_goes_before_a_mention():
    found = evidence("What is tantivy?", "We chose tantivy for its speed.", "Tantivy is a search library.", cosines=[0.6, 0.6])
    assert found.quotes[0].text == "Tantivy is a search library."


def test_nothing_found_is_no_evidence():
    assert gather("x", [], embed=lambda _: np.zeros((1, 2), np.float32), weights={}, words=words).quotes == ()


QUOTES = ["The warranty lasts 24 months.", "Damage by frost is not covered by Acme."]


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        ("The warranty lasts 24 months.", True),
        ("Frost damage is not covered.", True),
        ("The warranty lasts 36 months.", False),
        ("Frost damage is covered by Acme.", False),
        ("The warranty lasts 24 months, says Globex.", False),
        ("Does the warranty cover frost?", False),
        ("A completely different matter altogether.", False),
        ("", False),
    ],
)
def test_a_sentence_is_kept_only_where_the_quotes_say_it(sentence, kept):
    assert keeps_to(sentence, QUOTES, "Does the warranty cover frost?", words=words) is kept
