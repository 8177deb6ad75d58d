"""What the usage page draws and writes."""

from decimal import Decimal

import pytest

from server.pages.charts import HEIGHT, amount, dollars, stacked


def test_pieces_of_a_column_stand_on_each_other_and_reach_their_sum() -> None:
    chart = stacked(["mon", "tue"], [("a", {"mon": Decimal(1), "tue": Decimal(3)}), ("b", {"mon": Decimal(2)})], str)
    assert chart.marks == ["3", "1.5", "0"]
    first, second = [bar for bar in chart.bars if bar.x < 1]
    assert first.y + first.height == HEIGHT
    assert second.y + second.height == pytest.approx(first.y)
    assert second.y == pytest.approx(0)
    assert second.title == "mon · b: 2"


def test_nothing_is_drawn_of_nothing_or_less() -> None:
    assert stacked(["mon"], [("a", {"mon": Decimal(-1)})], str).bars == []
    assert stacked([], [], str).columns == 0


@pytest.mark.parametrize(
    ("value", "told"), [("0", "$0"), ("1234.567", "$1,234.57"), ("0.0012", "$0.0012"), ("0.000000012345", "$0.000000013")]
)
def test_dollars_for_people(value: str, told: str) -> None:
    assert dollars(Decimal(value)) == told


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (9_999, "9,999"), (12_345, "12.3 k"), (4_500_000, "4.5 M"), (3 * 10**9, "3 G")]
)
def test_counts_for_people(value: int, told: str) -> None:
    assert amount(value) == told
