import pytest

from evals.metrics.rouge import Rouge1, Rouge2, RougeL, RougeLsum
from tests.evals.metrics.outcomes import outcome

#: The first pair of rouge-score's test data, with the values of ROUGE-1.5.5 that its tests name, to five places.
TARGET = (
    "ZfbCUIUuePaiLVUlCaUXxkpu XPeWing tUHfPMuZ',-Xd Y BrUgVJing M-HV.-DgdDaY.rFDJCRing Ht-LM EKBDXkME,yz'RBr q'wtion wIojNbN "
    "wL,b .a-'XdQggyFl jB-RPP'iyOIcUxer tKM L"
)
PREDICTION = "rFDJCRtion Ht-LM EKtDXkME,yz'RBr q'wer wrojNbN wL,b .a-'XdQggyFl jB-RPP'iyOIcUxi"


@pytest.mark.parametrize(
    ("metric", "precision", "recall", "fmeasure"),
    [
        (Rouge1, 0.68750, 0.40741, 0.51163),
        (Rouge2, 0.53333, 0.30769, 0.39024),
        (RougeL, 0.68750, 0.40741, 0.51163),
    ],
)
async def test_rouge_scores_published_values_reproduce(metric, precision, recall, fmeasure):
    for stemmer in (False, True):
        found = await metric(stemmer=stemmer).score(outcome(PREDICTION, TARGET))
        assert found.value == pytest.approx(fmeasure, abs=1e-5)
        assert found.details["precision"] == pytest.approx(precision, abs=1e-5)
        assert found.details["recall"] == pytest.approx(recall, abs=1e-5)


async def test_lines_are_sentences_for_rougelsum():
    """Section 3.2 of Lin (2004), as rouge-score tests it."""
    found = await RougeLsum().score(outcome("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5"))
    assert (found.details["recall"], found.details["precision"]) == (pytest.approx(0.8), pytest.approx(0.4))


async def test_the_reference_that_gives_most_counts_and_the_part_can_be_chosen():
    several = outcome("one two", ["nothing in common", "one two three four"])
    assert (await Rouge1().score(several)).value == pytest.approx(2 / 3)
    assert (await Rouge1(part="recall").score(several)).value == pytest.approx(0.5)


async def test_what_has_no_words_it_knows_is_unmeasured_and_no_zero():
    assert (await Rouge1().score(outcome("猫がいる", "猫がいる"))).why == "no_words"
    assert (await Rouge1().score(outcome("said"))).why == "no_reference"
    assert (await Rouge1().score(outcome("", "said"))).value == 0


def test_the_signature_tells_package_and_options():
    assert "rouge-score-0." in Rouge1().signature
    assert Rouge1().signature != Rouge1(stemmer=True).signature
