"""What a chart is told, and the table beside it."""

from decimal import Decimal

import pytest

from server.pages.figures import Figure, Interval, Mark, Series, in_words


def test_the_table_says_what_the_chart_shows_the_newest_first() -> None:
    figure = Figure(
        id="x",
        title="Cost",
        about="",
        kind="columns",
        unit="usd",
        head="Day",
        labels=["mon", "tue"],
        series=[Series("a", [Decimal("0.5"), None]), Series("b", [0, 2])],
        marks=[Mark("tue", "a step"), Mark("tue", "a spike")],
    )
    assert figure.rows() == [("tue", ["–", "$2.00"], "a step; a spike"), ("mon", ["$0.5", "$0"], "")]
    told = figure.told()
    assert [one["values"] for one in told["series"]] == [[0.5, None], [0.0, 2.0]]
    assert told["marks"][0] == {"label": "tue", "text": "a step", "value": None}


def test_intervals_are_told_with_what_they_are_held_against() -> None:
    interval = Interval("new", -0.1, 0.2, None)
    figure = Figure(id="x", title="", about="", kind="intervals", unit="share", head="", intervals=[interval], against=0.0)
    assert figure.told()["intervals"] == [{"name": "new", "low": -0.1, "point": 0.2, "high": None}]
    assert figure.told()["against"] == 0.0


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (None, "usd", "–"),
        (0.0012, "usd", "$0.0012"),
        (1530.0, "ms", "1.5 s"),
        (0.051, "share", "5.1 %"),
        (12_345, "count", "12.3 k"),
        (0.123456, "number", "0.1235"),
    ],
)
def test_values_are_told_with_their_unit(value: float | None, unit: str, told: str) -> None:
    assert in_words(value, unit) == told  # type: ignore[arg-type]
