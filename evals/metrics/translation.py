"""BLEU, chrF and TER as sacrebleu computes them (Post, 2018), with its signature. The value of a run is the corpus's."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring, references

#: Of sacrebleu's: what reads a number of references that differs from example to example.
_VARIES = -1


class BleuOptions(Options):
    """As sacrebleu's; tokenizers that would have to be fetched are left out."""

    tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a"
    lowercase: bool = False
    smooth_method: Literal["exp", "floor", "add-k", "none"] = "exp"
    max_ngram_order: int = Field(4, ge=1, le=8)


class ChrfOptions(Options):
    """`word_order` 2 is chrF++."""

    char_order: int = Field(6, ge=1, le=10)
    word_order: int = Field(0, ge=0, le=4)
    beta: int = Field(2, ge=1, le=10)
    lowercase: bool = False


class TerOptions(Options):
    """As sacrebleu's."""

    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False
    case_sensitive: bool = False


class _Sacrebleu(Scoring):
    """Scores from 0 to 100 (TER may pass it). An example's own score is its sentence's, whose mean is no corpus's value."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._whole = self._metric()
        self._whole.num_refs = _VARIES

    def _metric(self) -> Any:
        raise NotImplementedError

    def stands_on(self) -> list[str]:
        return [str(self._whole.get_signature().format())]

    async def measure(self, outcome: Outcome) -> Score:
        right = references(outcome.example)
        if not right:
            return Score.unmeasured("no_reference")
        return Score(float(self._sentence().sentence_score(outcome.output, right).score))

    def _sentence(self) -> Any:
        return self._metric()

    def corpus(self, outcomes: Sequence[Outcome]) -> Score:
        """As `OfCorpus` promises."""
        told = [
            (outcome.output, right) for outcome in outcomes if outcome.error is None and (right := references(outcome.example))
        ]
        unmeasured = len(outcomes) - len(told)
        if not told:
            return Score.unmeasured("nothing_measured", unmeasured=unmeasured)
        most = max(len(right) for _, right in told)
        streams = [[right[number] if number < len(right) else None for _, right in told] for number in range(most)]
        metric = self._metric()
        found = metric.corpus_score([output for output, _ in told], streams)
        return Score(float(found.score), details={"unmeasured": unmeasured, "signature": metric.get_signature().format()})


class Bleu(_Sacrebleu):
    """BLEU, 0 to 100."""

    name = "bleu"
    options_type: ClassVar[type[Options]] = BleuOptions

    def _metric(self, *, effective_order: bool = False) -> Any:
        from sacrebleu.metrics.bleu import BLEU

        options: BleuOptions = self.options
        return BLEU(
            tokenize=options.tokenize,
            lowercase=options.lowercase,
            smooth_method=options.smooth_method,
            max_ngram_order=options.max_ngram_order,
            effective_order=effective_order,
        )

    def _sentence(self) -> Any:
        return self._metric(effective_order=True)  # as sacrebleu asks for single sentences


class ChrF(_Sacrebleu):
    """chrF or chrF++, 0 to 100."""

    name = "chrf"
    options_type: ClassVar[type[Options]] = ChrfOptions

    def _metric(self) -> Any:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(**self.options.model_dump())


class Ter(_Sacrebleu):
    """Translation edit rate: edits by the reference's words, in percent; the fewer the better."""

    name = "ter"
    higher_is_better = False
    options_type: ClassVar[type[Options]] = TerOptions

    def _metric(self) -> Any:
        from sacrebleu.metrics.ter import TER

        return TER(**self.options.model_dump())
