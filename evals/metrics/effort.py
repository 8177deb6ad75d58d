"""What an answer took: time, money, tokens. The less the better; what was not told is unmeasured, and no zero."""

from abc import abstractmethod

from evals.base import Outcome, Score
from evals.metrics.base import Scoring


class _Effort(Scoring):
    higher_is_better = False

    @abstractmethod
    def taken(self, outcome: Outcome) -> float | None:
        """None: it is not known."""

    async def measure(self, outcome: Outcome) -> Score:
        value = self.taken(outcome)
        return Score.unmeasured("not_told") if value is None else Score(float(value))


class Latency(_Effort):
    """Seconds until the whole answer."""

    name = "latency"

    def taken(self, outcome: Outcome) -> float | None:
        return outcome.latency_s


class FirstToken(_Effort):
    """Seconds until the first token."""

    name = "first_token"

    def taken(self, outcome: Outcome) -> float | None:
        return outcome.first_token_s


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
