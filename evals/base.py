"""What an evaluation speaks of: examples, what a target made of each, and the scores that metrics give it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a dataset. `expected` is what a right answer is held against, or None; `context` the passages or documents
    that are right, for metrics of retrieval; `id` is unique within the dataset and the same in each of its versions."""

    id: str
    input: Mapping[str, Any]
    expected: Any = None
    context: Sequence[str] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a target made of an example. `error` is the stable code of a failure, and `output` is then empty.
    `streamed`: it was asked piece by piece, so that without a `first_token_s` no piece came before the whole."""

    example: Example
    output: str
    answer: Mapping[str, Any] = field(default_factory=dict)
    latency_s: float | None = None
    first_token_s: float | None = None
    streamed: bool = False
    cost_usd: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's word on an outcome. Without a value it is unmeasured, `why` says for what reason, and no mean counts it."""

    value: float | None
    why: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.value is not None:
            object.__setattr__(self, "value", float(self.value))
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)
            object.__setattr__(self, "why", self.why or "not_a_number")

    @classmethod
    def unmeasured(cls, why: str, **details: Any) -> "Score":
        return cls(None, why, details)


@runtime_checkable
class Metric(Protocol):
    """Scores outcomes, one by one; made once a run from the suite's settings for it.

    `signature` tells all that a value depends on (package, version, parameters): values under different signatures are not
    compared.
    """

    name: str
    higher_is_better: bool
    signature: str

    async def score(self, outcome: Outcome) -> Score:
        """Never raises for what an outcome holds: what cannot be measured is `Score.unmeasured`."""
        ...


@runtime_checkable
class OfCorpus(Protocol):
    """A metric whose value for many outcomes is no mean of theirs, such as BLEU."""

    def corpus(self, outcomes: Sequence[Outcome]) -> Score:
        """The value of all outcomes; those that failed are left out and counted in `details["unmeasured"]`. Blocking."""
        ...


@runtime_checkable
class OfScores(Protocol):
    """A metric that tells more of its scores together than their mean, such as how far a judge agrees with people."""

    def together(self, scored: Sequence[tuple[Outcome, Score]]) -> Mapping[str, float | None]:
        """Figures by name, None where nothing tells one. Scores are given as they were kept, perhaps without `details`."""
        ...
