"""Runs held against each other, some of which did not come to all examples."""

import pytest

from core.errors import InvalidRequest
from core.tables import EvalRun
from evals.comparisons import Side, compared, differences

FIGURES = {"f1": {"signature": "f1", "higher_is_better": True}}


def side(name: str, values: dict[str, float], *, total: int = 40, digest: str = "d") -> Side:
    run = EvalRun(id=name, total=total, dataset_digest=digest, summary={"metrics": FIGURES})  # type: ignore[call-arg]
    return Side(run, {example: {"f1": {"value": value, "why": None}} for example, value in values.items()})


WHOLE = side("a", {f"ex-{number}": 0.0 for number in range(40)})


def test_examples_that_a_run_did_not_come_to_are_unmeasured() -> None:
    part = side("b", {f"ex-{number}": 1.0 for number in range(10)})
    for base, other in ((WHOLE, part), (part, WHOLE)):
        found = compared(base, [other])[other.run.id]["f1"]
        assert (found["n"], found["unmeasured"], found["verdict"]) == (10, 30, "inconclusive")
        assert found["why"] == "too_many_unmeasured"
    rows = differences(part, [WHOLE], "f1")
    assert (len(rows), rows[-1]["why"]) == (40, {"a": None, "b": "not_reached"})


def test_examples_that_neither_came_to_are_unmeasured() -> None:
    part = side("b", {f"ex-{number}": 1.0 for number in range(10)})
    other = side("c", {f"ex-{number}": 0.0 for number in range(5, 20)})
    found = compared(part, [other])["c"]["f1"]
    assert (found["n"], found["unmeasured"]) == (5, 35)


def test_runs_of_other_examples_are_not_compared() -> None:
    with pytest.raises(InvalidRequest, match="not of the same examples") as refused:
        compared(WHOLE, [side("b", {f"ex-{number}": 1.0 for number in range(40)}, digest="other")])
    assert refused.value.code == "other_dataset"
