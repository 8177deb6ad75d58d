"""The table of metrics, and its page."""

from pathlib import Path

import pytest

from core.metrics.families import FAMILIES, Family, Kind

PAGE = (Path(__file__).parents[3] / "docs/metrics.md").read_text()
#: What would tell whose a request was, or has no end of values.
_OPEN = {"tenant", "user", "principal", "key", "key_id", "session", "path", "team", "prompt", "request_id", "tag"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_is_described_as_it_is(family: Family) -> None:
    labels = ", ".join(f"`{label}`" for label in family.labels) or "–"
    assert f"| `{family.shown}` | {family.kind} | {labels} | {family.unit} | {family.meaning} |" in PAGE


def test_no_label_has_values_without_end() -> None:
    assert [family.name for family in FAMILIES if _OPEN & set(family.labels)] == []


def test_names_are_prometheus_own_manners() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    assert all(name.startswith("genai_") and not name.endswith("_total") for name in names)
    assert all(family.buckets for family in FAMILIES if family.kind is Kind.HISTOGRAM)
