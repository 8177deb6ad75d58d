"""Figures of what monitors see: when and what for the platform is used, what is asked, and what has drifted."""

from collections.abc import Mapping, Sequence
from typing import Final

from evals.monitors.drifts import Drift
from evals.monitors.patterns import Patterns
from server.pages.figures import Figure, Series, Unit

UNITS: Final[dict[str, Unit]] = {"ms": "ms", "share": "share", "usd": "usd", "tokens": "count"}
METRIC_NAMES: Final[dict[str, str]] = {
    "latency_ms": "latency",
    "first_token_ms": "first token",
    "token_ms": "time per token",
    "error_rate": "failures",
    "refusal_rate": "refusals",
    "feedback": "feedback",
    "eval_score": "evaluation score",
    "cost_usd": "cost",
    "tokens": "tokens",
}
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WORKING: Final = 5
#: Names that have a column of their own, and collections that have a colour of theirs.
_NAMED: Final = 12
_COLOURED: Final = 5
#: Collections whose drift is drawn.
_DRAWN: Final = 4


def usage_figures(found: Patterns, *, tenants: bool) -> list[Figure]:
    """By hour, weekday and capability; by tenant where these are told apart."""
    hours = [f"{hour:02}:00" for hour in range(24)]
    working, weekend = (_sum(found.week[part]) for part in (slice(0, _WORKING), slice(_WORKING, None)))
    figures = [
        _columns(
            "hours", "Calls by hour (UTC)", "Hour", hours, Series("Monday to Friday", working), Series("weekend", weekend)
        ),
        _columns("days", "Calls by weekday", "Day", _DAYS, Series("calls", [sum(day) for day in found.week])),
    ]
    counted = [("capabilities", "Calls by capability", "Capability", found.capabilities)]
    if tenants:
        counted.append(("tenants", "Calls by tenant", "Tenant", found.tenants))
    for identity, title, head, counts in counted:
        most = counts.most_common(_NAMED)
        calls = Series("calls", [number for _, number in most])
        figures.append(_columns(identity, title, head, [name or "none" for name, _ in most], calls))
    return figures


def topic_figure(found: Patterns, names: Mapping[str, str]) -> Figure | None:
    """The groups of what was asked, by collection; None where nothing was."""
    most = [(collection, counts) for collection, counts in found.topics.items() if sum(counts)][:_COLOURED]
    if not most:
        return None
    groups = [f"group {number}" for number in range(1, 1 + max(len(counts) for _, counts in most))]
    series = [Series(names.get(collection, collection), counts) for collection, counts in most]
    return _columns("topics", "Questions by group of meaning", "Group", groups, *series)


def drift_figures(found: Sequence[Drift], names: Mapping[str, str]) -> list[Figure]:
    """The shares of each class in the last day beside those of the days before: of what has drifted first."""
    measured = sorted(
        (each for each in found if each.index is not None), key=lambda each: (not each.drifted, -(each.index or 0))
    )
    figures = []
    for number, each in enumerate(measured[:_DRAWN]):
        collection = names.get(each.collection_id, each.collection_id)
        if each.what == "questions":
            title, head = f"What is asked of {collection}", "Group"
            labels = [f"group {place}" for place in range(1, 1 + len(each.classes))]
        else:
            title, head = f"How near the best passage is in {collection}", "Cosine"
            labels = [f"{place / len(each.classes):.2f}" for place in range(len(each.classes))]
        series = [Series("the last day", _shares(each.classes)), Series("the days before", _shares(each.classes_before))]
        about = f"{title}: the share of each class in the last day and before; the table below has the numbers"
        figures.append(
            Figure(f"drift-{number}", title, about, "columns", "share", head, labels, series, stacked=False, shorts=labels)
        )
    return figures


def _columns(identity: str, title: str, head: str, labels: Sequence[str], *series: Series) -> Figure:
    about = f"{title}; the table below has the numbers"
    shorts = [label.removeprefix("group ")[:3] if head in ("Day", "Group") else label for label in labels]
    return Figure(identity, title, about, "columns", "count", head, list(labels), list(series), shorts=shorts)


def _sum(days: Sequence[Sequence[int]]) -> list[int]:
    return [sum(hour) for hour in zip(*days, strict=True)]


def _shares(counts: Sequence[int]) -> list[float]:
    whole = sum(counts)
    return [count / whole if whole else 0.0 for count in counts]
