"""What a comparison comes to."""

from enum import StrEnum


class Verdict(StrEnum):
    """Of the second against the first. `NO_DIFFERENCE` is a finding: any that there is, is smaller than matters."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference"
    INCONCLUSIVE = "inconclusive"


def decide(low: float, high: float, *, differs: bool, effect: float | None, higher_is_better: bool = True) -> Verdict:
    """The verdict on a difference within `low` and `high`, of which a test says whether it is one.

    `effect` is the smallest difference that matters: an interval within it on both sides tells that there is none that does,
    even where a test is sure of a smaller one. None: every difference matters, and that there is none can never be told.
    """
    if effect is not None and -effect < low and high < effect:
        return Verdict.NO_DIFFERENCE
    if not differs or low <= 0 <= high:
        return Verdict.INCONCLUSIVE
    return Verdict.BETTER if (low > 0) is higher_is_better else Verdict.WORSE


def check(alpha: float, effect: float | None) -> None:
    """Refuse what no test can be made of.

    Raises:
        ValueError: alpha is no share, or the effect is not above zero.
    """
    if not 0 < alpha < 0.5:
        raise ValueError("alpha is the share of false alarms: above 0 and below 0.5")
    if effect is not None and not effect > 0:
        raise ValueError("the effect is the smallest difference that matters: above 0")
