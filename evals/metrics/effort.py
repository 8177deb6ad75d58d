"""What an answer took: time, money, tokens. The less the better; what was not told is unmeasured, and no zero."""

from abc import abstractmethod
from typing import Final

from evals.base import Outcome, Score
from evals.metrics.base import Scoring

#: The metric that has a target asked by streaming.
FIRST_TOKEN: Final = "first_token"  # noqa: S105 - a metric's name


class _Effort(Scoring):
    higher_is_better = False

    @abstractmethod
    def taken(self, outcome: Outcome) -> float | None:
        """None: it is not known."""

    async def measure(self, outcome: Outcome) -> Score:
        value = self.taken(outcome)
        return Score.unmeasured(self.untold(outcome)) if value is None else Score(float(value))

    def untold(self, outcome: Outcome) -> str:
        """Why it is not known."""
        return "not_told"


class Latency(_Effort):
    """Seconds until the whole answer."""

    name = "latency"

    def taken(self, outcome: Outcome) -> float | None:
        return outcome.latency_s


class FirstToken(_Effort):
    """Seconds until the first piece of the answer. Where a suite names it the target is asked by streaming."""

    name = FIRST_TOKEN

    def taken(self, outcome: Outcome) -> float | None:
        return outcome.first_token_s

    def untold(self, outcome: Outcome) -> str:
        return "cannot_stream" if outcome.streamed else super().untold(outcome)


class Cost(_Effort):
    """Dollars; unmeasured where no price is known."""

    name = "cost"

    def taken(self, outcome: Outcome) -> float | None:
        return None if outcome.cost_usd is None else float(outcome.cost_usd)


class OutputTokens(_Effort):
    """Tokens of the answer."""

    name = "output_tokens"

    def taken(self, outcome: Outcome) -> float | None:
        return outcome.output_tokens
