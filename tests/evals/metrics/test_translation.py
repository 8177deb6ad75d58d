import pytest

from evals.base import Example, OfCorpus, Outcome
from evals.metrics.translation import Bleu, ChrF, Ter
from tests.evals.metrics.outcomes import outcome

#: The example of sacrebleu's README and tests, with the values that its tests name, to 1e-8.
HYPOTHESES = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "The dog had bit the man."],
    ["It was not unexpected.", "No one was surprised."],
    ["The man bit him first.", "The man had bitten the dog."],
]
OUTCOMES = [
    Outcome(Example(str(number), {}, right), said)
    for number, (said, right) in enumerate(zip(HYPOTHESES, REFERENCES, strict=True))
]


@pytest.mark.parametrize(
    ("options", "published"),
    [
        ({}, 48.530827),
        ({"tokenize": "13a"}, 48.530827),
        ({"tokenize": "none"}, 49.1919566),
        ({"tokenize": "intl"}, 43.91623493),
        ({"smooth_method": "none"}, 48.530827),
    ],
)
def test_sacrebleus_published_values_reproduce(options, published):
    assert Bleu(**options).corpus(OUTCOMES).value == pytest.approx(published, abs=1e-8)


def test_the_signature_is_sacrebleus_and_tells_the_options():
    signature = Bleu(tokenize="intl", lowercase=True).signature
    assert all(part in signature for part in ("bleu", "case:lc", "eff:no", "tok:intl", "smooth:exp", "version:"))
    assert Bleu().signature != Bleu(tokenize="intl").signature
    assert "nc:6|nw:2" in ChrF(word_order=2).signature
    assert "nrefs:2" in Bleu().corpus(OUTCOMES).details["signature"]


@pytest.mark.parametrize(("metric", "best", "worst"), [(Bleu, 100, 0), (ChrF, 100, 0), (Ter, 0, 100)])
async def test_a_sentence_has_a_score_of_its_own(metric, best, worst):
    made = metric()
    assert (await made.score(outcome("A dog bit the man.", "A dog bit the man."))).value == pytest.approx(best)
    assert (await made.score(outcome("xyz", ["A dog bit it."]))).value == pytest.approx(worst, abs=12)
    assert made.higher_is_better is (best > worst)
    assert isinstance(made, OfCorpus)


async def test_what_failed_or_has_no_reference_is_left_out_and_counted():
    bleu = Bleu()
    more = [*OUTCOMES, outcome("", "x", error="timeout"), outcome("said")]
    found = bleu.corpus(more)
    assert (found.value, found.details["unmeasured"]) == (pytest.approx(48.530827, abs=1e-8), 2)
    assert bleu.corpus([outcome("said")]).value is None
    assert [(await bleu.score(one)).why for one in more[3:]] == ["timeout", "no_reference"]


def test_examples_may_have_different_numbers_of_references():
    fewer = [*OUTCOMES[:2], Outcome(Example("2", {}, REFERENCES[2][0]), HYPOTHESES[2])]
    assert 0 < Bleu().corpus(fewer).value < 48.6


@pytest.mark.parametrize("wrong", [{"tokenize": "flores200"}, {"tokenise": "13a"}, {"max_ngram_order": 0}])
def test_options_that_it_does_not_take_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Bleu(**wrong)
