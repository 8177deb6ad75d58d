"""The likely cause of a change to the worse: the same metric of a series' siblings, before the change and after it.

All providers do worse: what is asked, or the platform itself. One provider does: that provider. One version does, while others
of its alias answer from the same deployment as before: that version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from evals.monitors.metrics import WatchedMetric
from evals.monitors.points import Named, Sums

#: What is compared: the time before the change, and all of it since.
BEFORE: Final = timedelta(hours=24)
#: Calls on either side that say something of a series.
LEAST_CALLS: Final = 10
#: The part of the series' own change from which on a sibling does worse as well.
_AS_WELL: Final = 0.5
#: It is told to tenants as well, and so nothing of what others call.
NOTHING_TO_COMPARE: Final = "there is nothing that it could be compared with"


class Blamed(StrEnum):
    """What is different where it goes wrong from where it does not."""

    EVERYTHING = "everything"
    PROVIDER = "provider"
    DEPLOYMENT = "deployment"
    VERSION = "version"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cause:
    """`why` says it in a sentence: names of models and providers, no caller's."""

    blamed: Blamed
    why: str


def likely_cause(
    named: Named, metric: WatchedMetric, before: Mapping[Named, Sums], since: Mapping[Named, Sums]
) -> Cause | None:
    """What the sums of all series before a change of `named` and since then say of who is to blame. None: too little was called
    since to say."""
    moved = _moves(metric, before, since)
    own = moved.pop(named, None)
    if own is None or own <= 0:
        return None
    worse = {other: by >= _AS_WELL * own for other, by in moved.items()}
    elsewhere = [hit for other, hit in worse.items() if other.provider != named.provider]
    if elsewhere and _most(elsewhere):
        return Cause(
            Blamed.EVERYTHING, "other providers do worse as well: what is asked has changed, or the platform itself is slow"
        )
    same = (named.alias, named.provider, named.model)
    versions = [hit for other, hit in worse.items() if other[:3] == same]
    if versions and not any(versions):
        return Cause(
            Blamed.VERSION,
            f"other versions of {named.alias} do as before at {named.deployment}: version {named.version} it is",
        )
    beside = [hit for other, hit in worse.items() if other.provider == named.provider and other.model != named.model]
    if beside and not _most(beside):
        return Cause(Blamed.DEPLOYMENT, f"other models of {named.provider} do as before: {named.model} it is")
    if beside or elsewhere:
        others = "all else there does worse as well" if beside else "there is nothing else there to compare with"
        rest = ", other providers do as before" if elsewhere else ""
        return Cause(Blamed.PROVIDER, f"{named.provider}: {others}{rest}")
    return Cause(Blamed.UNKNOWN, NOTHING_TO_COMPARE)


def _moves(metric: WatchedMetric, before: Mapping[Named, Sums], since: Mapping[Named, Sums]) -> dict[Named, float]:
    """By how much each series has moved to the worse, as detectors see it; of those with calls enough on both sides."""
    moves: dict[Named, float] = {}
    sign = -1.0 if metric.worse == "down" else 1.0
    for named, sums in since.items():
        was, now = metric.measured(before.get(named, Sums())), metric.measured(sums)
        if was is not None and now is not None and min(was[1], now[1]) >= LEAST_CALLS:
            moves[named] = sign * (metric.seen(now[0]) - metric.seen(was[0]))
    return moves


def _most(hits: Sequence[bool]) -> bool:
    return 2 * sum(hits) > len(hits)
